// The catalogue: items found by words, lists that need a look, a map of what is alike, and a page for each item.
import { useLoad, useSettled } from "../lib/data.js";
import { ago, duration, number } from "../lib/format.js";
import { html, useEffect, useState } from "../lib/html.js";
import { setParams } from "../lib/route.js";
import { Button, Card, Icon, Page, Problem, Search, Select, Tabs } from "../ui/index.js";
import { Item } from "./catalogue/item.js";
import { LISTS, List } from "./catalogue/list.js";
import { ItemMap } from "./catalogue/map.js";

const SORTS = [
  ["", "Best match first"],
  ["popular", "Most events first"],
  ["newest", "Newest first"],
  ["reach", "Most shown first"],
];

export default function Catalogue({ params }) {
  const [text, setText] = useState(params.q ?? "");
  const query = useSettled(text.trim(), 200);
  const glance = useLoad("/v1/catalogue", {}, { every: 30 });
  useEffect(() => setText(params.q ?? ""), [params.q]);
  useEffect(() => setParams({ q: query }), [query]);
  const map = params.view === "map";
  const asked = { query: params.q, list: params.list ?? "all", category: params.category };
  const views = html`
    <${Button} small pressed=${!map} kind=${map ? "" : "primary"} onClick=${() => setParams({ view: null })}><${Icon} name="list" />List<//>
    <${Button} small pressed=${map} kind=${map ? "primary" : ""} onClick=${() => setParams({ view: "map" })}><${Icon} name="tag" />Map<//>`;
  return html`<${Page} title="Catalogue" lead="Find an item, see what needs a look, and what is like what." actions=${views}>
    ${glance.error && html`<${Problem} error=${glance.error} retry=${glance.reload} />`}
    <${Card} label="What to show">
      <div class="stack">
        <div class="row" data-part="filters">
          <div class="grow" style=${{ minWidth: "min(260px, 100%)" }}>
            <${Search} label="Search the catalogue" placeholder="Words of a title or description, or an id" value=${text} onInput=${setText} maxlength="256" />
          </div>
          <${Category} glance=${glance.data} value=${params.category} />
          ${!map && html`<div><${Select} label="Order" value=${params.sort ?? (query ? "" : "popular")} options=${query ? SORTS : SORTS.slice(1)} onChange=${(sort) => setParams({ sort })} /></div>`}
        </div>
        <${Tabs} label="Lists" value=${asked.list} onChange=${(list) => setParams({ list: list === "all" ? null : list })} tabs=${tabs(glance.data, asked.list)} />
        <p class="small quiet" data-part="about">${LISTS[asked.list]?.about(glance.data)}</p>
      </div>
    <//>
    ${map ? html`<${ItemMap} asked=${asked} />` : html`<${List} asked=${asked} sort=${params.sort} glance=${glance.data} />`}
    ${glance.data && html`<p class="small quiet">Events of the last ${duration(glance.data.events_window_seconds)}${glance.data.reach_counted_at ? ` and answers of the last ${duration(glance.data.reach_window_seconds)}` : ""}, counted ${ago(glance.data.counted_at)}. A user adds at most three to an item's events.</p>`}
    <${Item} id=${params.item} onClose=${() => setParams({ item: null })} />
  <//>`;
}

/** The lists there are, those of what is rare only where there is any. */
function tabs(glance, chosen) {
  return Object.entries(LISTS)
    .filter(([id, { rare }]) => !rare || id === chosen || glance?.lists[id])
    .map(([id, { label }]) => ({ id, label: glance?.lists[id] == null ? label : `${label} ${number(glance.lists[id])}` }));
}

function Category({ glance, value }) {
  const known = glance?.categories ?? [];
  if (!known.length && !value) return null;
  const options = [["", "All categories"], ...known.map(({ category, items }) => [category, `${category} (${number(items)})`])];
  if (value && !known.some(({ category }) => category === value)) options.push([value, value]);
  return html`<div style=${{ maxWidth: "min(280px, 100%)" }}><${Select} label="Category" value=${value ?? ""} options=${options} onChange=${(category) => setParams({ category })} /></div>`;
}
