// Words that not everybody knows, as `Tip` explains them.
export const GLOSSARY = {
  "click-through": "Share of the answers of which at least one item was clicked.",
  conversion: "Share of the answers of which at least one item was bought.",
  coverage: "Share of the items that could be recommended which were recommended to somebody.",
  degraded: "Answers that came from less than the whole way, because a part failed or was late.",
  fallback: "Answers for users of whom nothing is known yet: they get what is popular.",
  p50: "Half of the requests were answered faster than this.",
  p95: "19 of 20 requests were answered faster than this.",
  p99: "99 of 100 requests were answered faster than this.",
  gate: "Before a version is put into use it is asked about what users did last, beside popularity, item neighbours and the version in use; one that is worse is refused.",
  ndcg: "Between 0 and 1: how near the top of the list of ten the thing stands that the user really took next. 1 would be first for everybody.",
  holm: "The chance of a difference this large if there were none, corrected (Holm) for how many were set against the same one. Below .05 it counts as significant.",
  interval: "The range that holds the true value with 95 % confidence: the more data, the narrower.",
};
