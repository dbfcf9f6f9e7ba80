import { html } from "../lib/html.js";
import { Icon } from "./icon.js";
import { Tip } from "./tip.js";

/** A number with its name. `interval` and `note` are text below it; `term` explains the name; several stand in a `dl` of class grid. */
export function Stat({ label, value, interval, note, term, tone, children }) {
  return html`<div class="card"><dl class="stat">
    <dt>${label}${term && html`<${Tip} term=${term} />`}${tone && html`<${Badge} tone=${tone}>${TONES[tone]}<//>`}</dt>
    <dd>${value}</dd>
    ${(interval || note) && html`<dd>${interval}${interval && note ? " · " : ""}${note}</dd>`}
  </dl>${children}</div>`;
}

const TONES = { good: "fine", warn: "watch", bad: "act" };

/** A word with a colour; the word says it too. tone: good | warn | bad | info | "". */
export function Badge({ tone = "", children }) {
  return html`<span class=${`badge ${tone}`}>${children}</span>`;
}

/** A line that wants to be seen. */
export function Note({ tone = "info", children }) {
  return html`<div class=${`note ${tone}`}><${Icon} name=${{ good: "check", warn: "alert", bad: "alert" }[tone] ?? "info"} /><div>${children}</div></div>`;
}

/** How far something is, 0 … 1. */
export function Progress({ value, label }) {
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return html`<div class="progress" role="progressbar" aria-label=${label} aria-valuenow=${percent} aria-valuemin="0" aria-valuemax="100">
    <div style=${{ width: `${percent}%` }}></div>
  </div>`;
}
