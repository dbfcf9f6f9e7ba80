// Rules in words, and the words of rules.
export const CHANGES = "catalog:write";

export const TIPS = {
  pipeline: "A list is made in steps: sources name candidates, items that may not be shown are left out, scores put them in order, rules change the order, and pins take their places.",
  filter: "Only items that match may be shown. It is written as in SQL: category = 'mugs' AND price < $most. It holds besides the filter of a request.",
  parameters: "Values of the names with a $ in the filters here. A request cannot change them.",
  strict: "Where the filter leaves too few items, the list is filled up with others, and says so.",
  boosts: "Items that match count as so many times as likely to be chosen. × 2 raises, × 0.5 lowers, × 1 changes nothing. Several that match are multiplied.",
  pins: "The item stands at its position for everybody, whatever its score, even where the filter leaves it out. Hidden and expired items are not shown.",
  excluded: "These items are never shown in lists of this scenario.",
  seen: "Whether what a user has met already is left out. Unless it is set here or in a request, it is.",
  diversity: "0 % keeps the order of the scores; 100 % looks at variety alone, and takes items unlike those before them.",
  caps: "At most so many items of a list may have the same value of a property, such as 2 of a category.",
  rotation: "This share of the places goes to items just below the list, others after each period, so that it looks fresh.",
  limit: "How many items a list has when the request names no number.",
  given_up: "Mean score, as the model gives it, of the lists as they are less that of the lists under the draft. Above 0 the rules show what the model finds less likely to be chosen; compare it with the spread of the scores.",
  changed: "Places of the lists at which another item stands than before.",
  preview: "The lists of some users are made twice: as they are, and under the draft. Nothing of it is kept or shown to them.",
};

export const NAMES = {
  description: "Description",
  filter: "Filter",
  parameters: "Parameters",
  strict_filter: "Strict filter",
  boosts: "Boosts",
  pins: "Pins",
  exclude_item_ids: "Excluded items",
  exclude_seen: "Leave out what was seen",
  diversity: "Diversity",
  max_per: "Caps",
  rotation: "Rotation",
  limit: "Items of a list",
};

/** The value of a rule in words; "none" where it is not set. */
export function told(rule, value) {
  if (value === null || value === undefined) return "none";
  if (rule === "boosts") return value.map(({ filter, weight }) => `× ${weight} where ${filter}`).join("; ") || "none";
  if (rule === "pins") return value.map(({ item_id: id, position }) => `${id} at ${position}`).join(", ") || "none";
  if (rule === "exclude_item_ids") return value.join(", ") || "none";
  if (rule === "max_per") return Object.entries(value).map(([name, cap]) => `${cap} of a ${name}`).join(", ") || "none";
  if (rule === "parameters") return Object.entries(value).map(([name, one]) => `$${name} = ${typed(one)}`).join(", ") || "none";
  if (rule === "rotation") return `${Math.round((value.rate ?? 0.2) * 100)} % every ${value.seconds ?? 3600} s`;
  if (rule === "diversity") return `${Math.round(value * 100)} %`;
  if (rule === "exclude_seen" && typeof value === "object") return [value.types?.join(", "), value.days && `last ${value.days} days`].filter(Boolean).join(", ") || "yes";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The names with a $ in the filters of some rules. */
export function parametersOf(rules) {
  const texts = [rules.filter ?? "", ...(rules.boosts ?? []).map(({ filter }) => filter)];
  const plain = texts.map((text) => text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, ""));
  return [...new Set(plain.flatMap((text) => [...text.matchAll(/\$([^\W\d]\w*)/g)].map(([, name]) => name)))];
}

/** What was typed as a value: a list where there are commas, a number, yes or no, else text; and back. */
export const parsed = (text) => {
  if (text.includes(",")) return text.split(",").map((part) => parsed(part.trim())).filter((part) => part !== "");
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
};
export const typed = (value) => (Array.isArray(value) ? value.join(", ") : value === null || value === undefined ? "" : String(value));

/** Rules without what says nothing, so that equal rules are equal texts. */
export function tidy(rules) {
  const empty = (value) => value === null || value === undefined || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
  const order = Object.keys(NAMES);
  const kept = order.filter((name) => !empty(rules[name]) && !(name === "strict_filter" && rules[name]));
  return Object.fromEntries(kept.map((name) => [name, rules[name]]));
}

export const same = (one, other) => JSON.stringify(tidy(one ?? {})) === JSON.stringify(tidy(other ?? {}));
