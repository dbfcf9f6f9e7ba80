// Items in a table, page by page, and what each list is.
import { usePages } from "../../lib/data.js";
import { number, plural, share, title } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { setParams } from "../../lib/route.js";
import { Badge, Card, Empty, Note, Problem, Table } from "../../ui/index.js";

export const LISTS = {
  all: { label: "All", about: () => "Everything but what was deleted." },
  cold: {
    label: "Cold",
    about: (glance) => `Items with fewer than ${glance?.cold_below ?? 5} events, or that the model was not trained with: it knows little of them.`,
  },
  newcomers: { label: "Newcomers", about: () => "Items that came after the model was trained. They are scored by their contents, or by the items they are like." },
  never_shown: { label: "Never shown", about: () => "Items that could be recommended, and were in no answer that is counted." },
  hidden: { label: "Hidden", about: () => "Items that somebody has hidden; they are not recommended." },
  scheduled: { label: "Scheduled", rare: true, about: () => "Items that will be available later." },
  expired: { label: "Expired", about: () => "Items that are no longer available." },
  deleted: { label: "Deleted", rare: true, about: () => "Items that were removed. Their events stay." },
};

export const STATES = { available: ["good", "available"], hidden: ["warn", "hidden"], scheduled: ["info", "scheduled"], expired: ["warn", "expired"], deleted: ["bad", "deleted"] };
export const KNOWN = {
  training: ["good", "known to the model"],
  contents: ["info", "new: scored by its contents"],
  likeness: ["info", "new: scored by what it is like"],
  nothing: ["warn", "unknown to the model"],
  no_model: ["", "no model"],
};

const COLUMNS = [
  { key: "item", label: "Item", render: (item) => html`<span class="catalogue-name" data-item=${item.item_id}><span>${title(item)}</span><span class="mono quiet">${item.item_id}</span></span>` },
  { key: "category", label: "Category", render: ({ categories }) => html`<span class="small">${categories.slice(0, 2).join(", ")}${categories.length > 2 ? "…" : ""}</span>` },
  { key: "state", label: "State", render: ({ numbers }) => html`<${State} numbers=${numbers} />` },
  { key: "events", label: "Events", align: "number", tip: "item events", render: ({ numbers }) => number(numbers.events) },
  { key: "ever", label: "Ever", align: "number", render: ({ numbers }) => number(numbers.events_ever) },
  { key: "shown", label: "Shown", align: "number", tip: "reach", render: ({ numbers }) => number(numbers.shown) },
  { key: "clicked", label: "Clicked", align: "number", render: ({ numbers }) => (numbers.shown ? `${number(numbers.clicked)} (${share(numbers.clicked / numbers.shown)})` : number(numbers.clicked)) },
];

/** What is not as usual with an item. */
export function State({ numbers, always }) {
  const [tone, words] = STATES[numbers.state];
  const [how, known] = KNOWN[numbers.known_by];
  return html`<span class="row tight">
    ${(always || numbers.state !== "available") && html`<${Badge} tone=${tone}>${words}<//>`}
    ${(always || !["training", "no_model"].includes(numbers.known_by)) && html`<${Badge} tone=${how}>${known}<//>`}
  </span>`;
}

export function List({ asked, sort, glance }) {
  const query = { ...asked, sort, limit: 50, include: "numbers" };
  const { rows, more, next, loading, error, reload, reply } = usePages("/v1/items", query, "items");
  const items = glance ? glance.lists.all : null;
  const partly = asked.query && reply?.searched !== undefined && glance && reply.searched < glance.lists.all;
  return html`<${Card} title=${reply?.total === undefined ? "Items" : plural(reply.total, "item")} label="Items">
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    ${partly && html`<${Note}>Search has taken in ${number(reply.searched)} of ${number(items)} items so far; the others follow within seconds.<//>`}
    ${!error &&
    html`<${Table}
      columns=${COLUMNS}
      rows=${rows}
      caption="Items of the catalogue"
      rowKey=${({ item_id }) => item_id}
      more=${more}
      onMore=${next}
      loading=${loading}
      onRow=${({ item_id }) => setParams({ item: item_id }, { step: true })}
      empty=${html`<${Nothing} asked=${asked} items=${items} />`}
    />`}
  <//>`;
}

function Nothing({ asked, items }) {
  if (items === 0) {
    return html`<${Empty} title="There are no items yet">
      <p>Items come with events, or are put with their properties.</p>
      <pre>${`curl -X PUT ${location.origin}/v1/items/ID -H 'Content-Type: application/json' -d '{"properties":{"title":"Blue mug"}}'`}</pre>
    <//>`;
  }
  if (asked.query) return html`<${Empty} title="No item has all of these words"><p>Try fewer words, or another list or category. Titles, names, descriptions and ids are searched.</p><//>`;
  return html`<${Empty} title="Nothing in this list"><p>${asked.list === "all" ? "No item has this category." : "That is good to know: there is nothing to look at here."}</p><//>`;
}
