// Who the user is, and what the user did, day by day.
import { address } from "../../lib/api.js";
import { useLoad, usePages } from "../../lib/data.js";
import { number, plural, title, when } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { useItems } from "../../lib/items.js";
import { href } from "../../lib/route.js";
import { Badge, Bars, Button, Card, Empty, Loading, Problem } from "../../ui/index.js";
import { Curl } from "./ask.js";

const TONES = { purchase: "good", cart: "info", like: "good", dislike: "bad" };
const PAGE = 25;

export function Person({ user, onWhy }) {
  const query = { user_id: user, limit: PAGE };
  const done = usePages("/v1/events", query, "events");
  const item = useItems(done.rows.map(({ item_id }) => item_id));
  return html`<div class="stack">
    <${Profile} user=${user} events=${done.rows} more=${done.more} ready=${Boolean(done.reply)} item=${item} />
    <${Card} title="Timeline" note="The newest first, in your time zone." actions=${html`<${Curl} method="GET" path=${address("/v1/events", query)} />`}>
      ${done.error && html`<${Problem} error=${done.error} retry=${done.reload} />`}
      ${!done.rows.length && done.loading && html`<${Loading} rows=${6} />`}
      ${done.reply && !done.rows.length && html`<${Empty} title="Nothing yet"><p>No event of “${user}” is in the store: check the id, or send one from the <a href=${href("shopfront", { user })}>shopfront</a>.</p><//>`}
      <${Days} events=${done.rows} item=${item} onWhy=${onWhy} />
      ${done.more && html`<${Button} small onClick=${done.next}>${done.loading ? "Loading…" : "Older events"}<//>`}
    <//>
  </div>`;
}

function Days({ events, item, onWhy }) {
  const days = new Map();
  for (const event of events) {
    const day = when(event.timestamp).slice(0, 10);
    days.set(day, [...(days.get(day) ?? []), event]);
  }
  return html`<div class="stack" data-part="timeline">
    ${[...days].map(
      ([day, some]) => html`<section key=${day} aria-label=${day}>
        <h3 class="small quiet row apart"><span>${day}</span><span>${plural(some.length, "event")}</span></h3>
        <ol class="inspected">
          ${some.map(
            (event, place) => html`<li key=${event.event_id ?? place} data-item=${event.item_id} data-type=${event.type}>
              <${Badge} tone=${TONES[event.type] ?? ""}>${event.type}<//>
              <a class="grow clip" href=${href("catalogue", { item: event.item_id })} title=${title(item(event.item_id))}>${title(item(event.item_id))}</a>
              <span class="small quiet">${when(event.timestamp).slice(11, 16)}${event.recommendation_id && html` <span title="it came of a recommendation">· rec.</span>`}</span>
              <${Button} kind="quiet" small label=${`Why: ${title(item(event.item_id)).slice(0, 80)}`} onClick=${() => onWhy(event.item_id)}>Why?<//>
            </li>`,
          )}
        </ol>
      </section>`,
    )}
  </div>`;
}

const tally = (words) => {
  const counts = new Map();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([one, many], [other, few]) => few - many || (one < other ? -1 : 1)).map(([label, value]) => ({ label, value }));
};

function Profile({ user, events, more, ready, item }) {
  const known = ready && events.length > 0;
  const base = `/v1/users/${encodeURIComponent(user)}`;
  const held = useLoad("/v1/users", { prefix: user, limit: 1 });
  const summary = useLoad(known ? `${base}/summary` : null);
  const alike = useLoad(known ? `${base}/similar` : null, { limit: 6 });
  const found = held.data?.users.find((one) => one.user_id === user);
  const properties = Object.entries(found?.properties ?? {});
  const kinds = tally(events.map(({ type }) => type));
  const categories = tally(events.flatMap(({ item_id }) => [item(item_id).categories ?? item(item_id).properties.category ?? []].flat().map(String))).slice(0, 5);
  return html`<${Card} title=${user} note=${known ? `The last ${plural(events.length, "event")}${more ? "; older ones are below" : ", all there are"}.` : undefined} actions=${html`<a class="small" href=${href("shopfront", { user })}>Shopfront</a>`}>
    <div class="stack">
      ${summary.data && html`<p class="wrap" data-part="summary">${summary.data.text}</p>`}
      ${properties.length > 0 && html`<dl class="facts">${properties.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${typeof value === "string" ? value : JSON.stringify(value)}</dd></div>`)}</dl>`}
      ${held.data && !properties.length && html`<p class="small quiet">Nobody put properties of this user.</p>`}
      ${kinds.length > 0 && html`<div data-part="kinds"><${Bars} rows=${kinds} label="Events by kind" /></div>`}
      ${categories.length > 0 && html`<div><h3 class="small">Favourite categories</h3><${Bars} rows=${categories} label="Events by category" /></div>`}
      ${alike.data?.users.length > 0 && html`<div data-part="similar">
        <h3 class="small row apart"><span>Similar users</span><${Curl} method="GET" path=${address(`${base}/similar`, { limit: 6 })} /></h3>
        <ul class="small">${alike.data.users.map((one) => html`<li key=${one.user_id} class="row apart"><a class="clip" href=${href("inspector", { user: one.user_id })}>${one.user_id}</a><span class="quiet number">${number(one.score, 3)}</span></li>`)}</ul>
      </div>`}
    </div>
  <//>`;
}
