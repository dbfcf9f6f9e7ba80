// An item's own page: what is known of it, what users did with it, what is like it, and who would like it.
import { useLoad } from "../../lib/data.js";
import { ago, duration, interval, number, share, title, when } from "../../lib/format.js";
import { html, useMemo, useState } from "../../lib/html.js";
import { href } from "../../lib/route.js";
import { Button, Card, Chart, Copy, Dialog, Empty, Loading, Note, Picture, Problem, Stat, Table, Tip } from "../../ui/index.js";
import { State } from "./list.js";

const KINDS = 4;

export function Item({ id, onClose }) {
  const path = id ? `/v1/items/${encodeURIComponent(id)}` : null;
  const { data, error, reload } = useLoad(path && `${path}/profile`);
  const shown = data && data.item.item_id === id ? data : null;
  return html`<${Dialog} title=${shown ? title(shown.item) : "Item"} open=${Boolean(id)} onClose=${onClose} wide>
    ${error && !shown && html`<${Problem} error=${error} retry=${reload} />`}
    ${!error && !shown && html`<${Loading} rows=${8} />`}
    ${shown && html`<${Profile} key=${id} profile=${shown} path=${path} />`}
  <//>`;
}

function Profile({ profile, path }) {
  const { item, numbers } = profile;
  return html`<div class="stack" data-profile=${item.item_id}>
    <div class="row catalogue-head">
      <div class="item catalogue-picture"><${Picture} item=${item} /></div>
      <div class="stack tight grow">
        <div class="row tight"><code class="wrap">${item.item_id}</code><${Copy} text=${item.item_id} label="Copy id" /></div>
        <${State} numbers=${numbers} always />
        ${item.categories.length > 0 && html`<p class="small wrap">${item.categories.map((one, at) => html`${at > 0 && ", "}<a href=${href("catalogue", { category: one })}>${one}</a>`)}</p>`}
        <p class="small quiet">${availability(item)}</p>
        <p class="row tight">
          <a class="button small" href=${href("catalogue", { view: "map", item: null, q: item.item_id })}>On the map</a>
          <a class="button small" href=${href("shopfront", { item: item.item_id })}>In the shopfront</a>
        </p>
      </div>
    </div>
    <${Reach} profile=${profile} />
    <${Knowledge} profile=${profile} />
    <${Days} days=${profile.days} />
    <${Alike} path=${path} />
    <${Audience} path=${path} item=${item} />
    <${Properties} item=${item} />
  </div>`;
}

function availability({ available_from, expires_at }) {
  const parts = [available_from && `available from ${when(available_from, { seconds: false })}`, expires_at && `until ${when(expires_at, { seconds: false })}`];
  return parts.filter(Boolean).join(" ") || "No dates of availability";
}

function Reach({ profile }) {
  const { numbers } = profile;
  const window = duration(profile.events_window_seconds);
  return html`<div class="grid" data-part="reach" style=${{ "--least": "125px" }}>
    <${Stat} label="Events" term="item events" value=${number(numbers.events)} note=${`in ${window} · ${number(numbers.events_ever)} ever`} />
    <${Stat} label="Place by events" value=${number(numbers.rank)} note=${`of ${number(profile.ranked)} items`} />
    <${Stat} label="Shown" term="reach" value=${number(numbers.shown)} note=${profile.reach_counted_at ? `counted ${ago(profile.reach_counted_at)}` : "not counted yet"} />
    <${Stat} label="Clicked" term="item click share" value=${share(profile.click_share)} interval=${profile.click_share === null ? undefined : interval(profile.click_low, profile.click_high, share)} note=${`${number(numbers.clicked)} of ${number(numbers.shown)} times`} />
  </div>`;
}

function Knowledge({ profile }) {
  const { numbers, like, trained_with } = profile;
  const model = profile.model ? `${profile.model}${profile.version ? ` ${profile.version}` : ""}` : null;
  const words = {
    training: `${model} was trained with ${number(trained_with)} events of it.`,
    contents: `${model} was not trained with it, and scores it by its contents until it has events.`,
    likeness: `${model} was not trained with it, and scores it by the items it is like:`,
    nothing: `${model} knows nothing of it, so it is recommended only where lists are made by events. Give it a title, categories or properties that other items have.`,
    no_model: "There is no model yet: lists are made by events.",
  }[numbers.known_by];
  return html`<${Note} tone=${numbers.known_by === "nothing" ? "warn" : "info"}>
    <p>${words}</p>
    ${like.length > 0 && html`<ul>${like.map((one) => html`<li key=${one.item_id}><a href=${href("catalogue", { item: one.item_id })}>${one.title || one.item_id}</a> <span class="quiet">${share(one.weight)}</span></li>`)}</ul>`}
  <//>`;
}

function Days({ days }) {
  const { x, series } = useMemo(() => {
    const totals = {};
    for (const { events } of days) for (const [kind, count] of Object.entries(events)) totals[kind] = (totals[kind] ?? 0) + count;
    const kinds = Object.keys(totals).sort((one, other) => totals[other] - totals[one] || (one < other ? -1 : 1));
    const lines = kinds.slice(0, KINDS).map((kind) => ({ label: kind, values: days.map(({ events }) => events[kind] ?? 0) }));
    const rest = kinds.slice(KINDS);
    if (rest.length) lines.push({ label: "other types", color: "var(--c0)", values: days.map(({ events }) => rest.reduce((sum, kind) => sum + (events[kind] ?? 0), 0)) });
    return { x: days.map(({ day }) => Date.parse(`${day}T00:00:00Z`) / 1000), series: lines };
  }, [days]);
  return html`<${Card} title="Events by day" note="The last 30 days, UTC. A user adds at most three of a type.">
    ${series.length ? html`<${Chart} x=${x} time series=${series} unit="events" height=${180} caption="Events of the item by day and type" />` : html`<p class="quiet">No events in these days.</p>`}
  <//>`;
}

const WHY = {
  met_together: ({ users, of }) => `${number(users)} of ${number(of)} recent users met both`,
  same_category: ({ category }) => `both in ${category}`,
  like_contents: ({ weight }) => `${share(weight, 0)} of words and values in common`,
};

function Alike({ path }) {
  const { data, error, loading, reload } = useLoad(`${path}/similar`, { limit: 8, include: ["reasons", "properties", "score"] });
  const columns = [
    { key: "item", label: "Item", render: (row) => html`<a href=${href("catalogue", { item: row.item_id })}>${title(row)}</a>` },
    { key: "why", label: "Why", render: ({ reasons }) => (reasons?.length ? reasons.map((one) => WHY[one.kind]?.(one) ?? one.kind).join(" · ") : html`<span class="quiet">the model alone</span>`) },
    { key: "score", label: "Likeness", align: "number", tip: "likeness", render: ({ score }) => number(score, 2) },
  ];
  return html`<${Card} title="What is like it" note=${data ? `By ${data.fallback ? "who met both" : "the model"}; the reasons are what can be seen in the store.` : undefined}>
    ${error?.status === 404 ? html`<p class="quiet">It is not in the catalogue any more.</p>` : error ? html`<${Problem} error=${error} retry=${reload} />` : html`<${Table} columns=${columns} rows=${data?.items ?? []} loading=${loading} caption="Items like it" rowKey=${(row) => row.item_id} empty=${html`<p class="quiet">Nothing yet: it has neither events nor contents that other items share.</p>`} />`}
  <//>`;
}

function Audience({ path, item }) {
  const [asked, setAsked] = useState(false);
  const { data, error, loading, reload } = useLoad(asked ? `${path}/audience` : null, { limit: 10 });
  return html`<${Card} title="Who would like it" actions=${html`<${Tip} term="audience" />`}>
    ${!asked && html`<${Button} small onClick=${() => setAsked(true)}>Look for them<//>`}
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    ${loading && asked && html`<${Loading} rows=${2} />`}
    ${data &&
    (data.users.length
      ? html`<ul class="row tight" data-part="audience">${data.users.map(({ user_id }) => html`<li key=${user_id}><a class="button small" href=${href("inspector", { user: user_id, item: item.item_id })}>${user_id}</a></li>`)}</ul>`
      : html`<p class="quiet">Nobody met items like it of late.</p>`)}
  <//>`;
}

function Properties({ item }) {
  const rows = Object.entries(item.properties).map(([name, value]) => ({ name, value: typeof value === "object" ? JSON.stringify(value) : String(value) }));
  const columns = [
    { key: "name", label: "Property", render: ({ name }) => html`<span class="mono small">${name}</span>` },
    { key: "value", label: "Value", render: ({ value }) => html`<span class="wrap">${value.length > 600 ? `${value.slice(0, 600)}…` : value}</span>` },
  ];
  return html`<${Card} title="Properties"><${Table} columns=${columns} rows=${rows} caption="Properties as held" rowKey=${({ name }) => name} empty=${html`<${Empty} title="Nobody gave it any"><p>A title and categories help search, filters, and the model with new items.</p><//>`} /><//>`;
}
