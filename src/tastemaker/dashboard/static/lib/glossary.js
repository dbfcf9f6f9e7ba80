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
  "item events": "What users did with the item, within the window. A user adds at most three of a type, so nobody alone makes a bestseller.",
  reach: "How many answers had the item in them, as far back as answers are counted.",
  "item click share": "Times the item was taken up from an answer, of the times it was shown there, with its 95 % interval.",
  likeness: "How alike the model holds the two to be: 1 is the same, 0 is nothing in common. Without a model's own: how much more often than by chance the same users met both.",
  audience: "Users who have not met the item and would like it most, among those who met items like it of late.",
  "item map": "Each point is an item. A program places them so that those that are alike lie together. Which way is up, and how far apart groups lie that do not touch, means little.",
  interval: "The range that holds the true value with 95 % confidence: the more data, the narrower.",
};
