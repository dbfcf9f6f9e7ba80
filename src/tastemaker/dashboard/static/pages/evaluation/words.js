// Metrics in plain words: each with what it is divided by.
import { html } from "../../lib/html.js";
import { Tip } from "../../ui/index.js";

const WORDS = {
  ndcg: "0 to 1: how near the top of the list what the user took stands; the best possible order would be 1. Mean over the users asked.",
  recall: "Share of what a user took that is in the list. Mean over the users asked.",
  hit_rate: "Share of the users asked whose list holds at least one thing that they took.",
  precision: "Share of the places of the list that hold something the user took. Mean over the users asked.",
  mrr: "1 divided by the place of the first thing that the user took, 0 without any. Mean over the users asked.",
  map: "Precision at each place that is right, averaged over what could be found. Mean over the users asked.",
  auc: "Chance that something taken is scored above something not taken: 0.5 is guessing, 1 perfect.",
  rmse: "Root of the mean squared error of predicted ratings, over ratings. Lower is better.",
  mae: "Mean absolute error of predicted ratings, over ratings. Lower is better.",
  coverage: "Share of the catalogue that is in at least one list.",
  gini: "Inequality of exposure over the whole catalogue: 0 all items alike, near 1 a few items take all places.",
  novelty: "How rare the listed items are in training, in bits: one bit more is half as often.",
  diversity: "1 minus the mean likeness of the items of a list. Mean over users with a list.",
  serendipity: "Share of places with something the user took that the most popular items would not have shown.",
  average_popularity: "Interactions of a listed item in training. Mean over users with a list.",
  popularity_lift: "How much more popular the lists are than what users chose themselves: 0 alike, 1 twice as popular.",
  cold_share: "Share of listed places that hold items without interactions in training.",
};
export const LOWER = new Set(["rmse", "mae", "gini", "average_popularity", "popularity_lift", "logloss"]);
export const base = (name) => name.split(/[@/]/)[0];
export const label = (name) => name.replaceAll("_", " ");
export const VERDICT = { better: "significantly better", worse: "significantly worse", same: "not significant" };

export function Metric({ name }) {
  return html`${label(name)}${WORDS[base(name)] && html` <${Tip} term=${label(base(name))} text=${WORDS[base(name)]} />`}`;
}

export const P = ({ value }) => (value === null ? "–" : value < 0.001 ? "< .001" : value.toFixed(3).replace(/^0/, ""));
