// What the list would be, had the user done something else. Nothing of it is stored.
import { plural, title, when } from "../../lib/format.js";
import { useLoad } from "../../lib/data.js";
import { html, useState } from "../../lib/html.js";
import { keep, useItems } from "../../lib/items.js";
import { setParams } from "../../lib/route.js";
import { Button, Card, Empty, Icon, ItemSearch, Loading, Note, Problem, Select } from "../../ui/index.js";
import { Curl, useAsk } from "./ask.js";
import { read, written } from "./edits.js";
import { Rows } from "./rows.js";

const MOST = 1000;
const SHOWN = 15;
const KINDS = ["view", "cart", "purchase", "like", "dislike"];

/** The question for a history, oldest first, of which the model `reads` the newest; what was disliked, and what is older, is only not shown again. */
export function sessionOf(rows, { user_id, ...request }, reads) {
  const met = rows.filter(({ type }) => type !== "dislike" && type !== "unknown");
  const events = met.slice(-reads).map(({ item_id, type }) => ({ item_id, type }));
  const older = [...rows.filter(({ type }) => type === "dislike"), ...met.slice(0, -reads)].map(({ item_id }) => item_id);
  const hidden = request.exclude_seen === false ? [] : [...new Set(older)];
  return { ...request, record: false, ...(hidden.length ? { exclude_item_ids: hidden } : {}), events };
}

export function WhatIf({ user, edit, request, onWhy }) {
  const [open, setOpen] = useState(Boolean(edit));
  const start = html`<${Button} onClick=${() => setOpen(true)}><${Icon} name="edit" />Edit the history<//>`;
  return html`<${Card} id="what-if" title="What if" note="Take away, add or reorder what the user did, and see the list change. Nothing is stored." actions=${!open && start}>
    ${open && html`<${Editor} user=${user} edit=${edit} request=${request} onWhy=${onWhy} />`}
  <//>`;
}

function Editor({ user, edit, request, onWhy }) {
  const loaded = useLoad("/v1/events", { user_id: user, limit: MOST });
  if (loaded.error) return html`<${Problem} error=${loaded.error} retry=${loaded.reload} />`;
  if (!loaded.data) return html`<${Loading} rows=${5} />`;
  const events = loaded.data.events.slice().reverse();
  return html`<${Both} events=${events} cut=${Boolean(loaded.data.next_cursor)} edit=${edit} request=${request} onWhy=${onWhy} />`;
}

function Both({ events, cut, edit, request, onWhy }) {
  const rows = read(edit, events);
  const changed = Boolean(edit) && written(rows, events) !== null;
  const change = (next) => setParams({ edit: written(next, events) });
  const real = useAsk("/v1/compare", { request });
  const reads = real.data?.columns[0].reads;
  const session = sessionOf(rows, request, reads ?? MOST);
  const other = useAsk("/v1/sessions/recommendations", changed && reads ? session : null);
  const [lit, setLit] = useState(null);
  const before = real.data?.columns[0].answer;
  const problem = real.error ?? real.data?.columns[0].problem;
  return html`<div class="stack">
    ${cut && html`<${Note}>Only the newest ${MOST} events are here. What was met before them may come again on the edited list, though not on the real one.<//>`}
    ${reads < rows.length && html`<p class="small quiet">Lists stand on the newest ${reads} events; older ones are only not shown again.</p>`}
    <${History} rows=${rows} events=${events} changed=${changed} onChange=${change} />
    <div class="grid fit" style=${{ "--least": "250px" }}>
      <section class="stack tight" aria-label="As it is" data-part="real">
        <div class="row apart tight"><h3>As it is</h3><${Curl} path="/v1/compare" body=${{ request }} /></div>
        ${problem && html`<${Problem} error=${problem} retry=${real.reload} />`}
        ${!real.data && real.loading && html`<${Loading} rows=${6} />`}
        ${before && html`<${Rows} items=${before.items} lit=${lit} onLit=${setLit} onWhy=${onWhy} label="The list as it is" />`}
      </section>
      <section class="stack tight" aria-label="What if" data-part="edited" aria-busy=${other.loading && other.data ? "true" : undefined}>
        <div class="row apart tight"><h3>With the edited history</h3>${changed && html`<${Curl} path="/v1/sessions/recommendations" body=${session} />`}</div>
        ${!changed && html`<${Empty} title="Nothing is edited yet"><p>Remove an event, move it, change its kind, or add an item.</p><//>`}
        ${other.error && html`<${Problem} error=${other.error} retry=${other.reload} />`}
        ${changed && !other.data && other.loading && html`<${Loading} rows=${6} />`}
        ${changed && other.data && before && html`<${Difference} before=${before.items} after=${other.data} lit=${lit} onLit=${setLit} onWhy=${onWhy} />`}
      </section>
    </div>
  </div>`;
}

function Difference({ before, after, lit, onLit, onWhy }) {
  keep(after.items);
  const ranks = new Map(before.map(({ item_id }, place) => [item_id, place]));
  const moves = after.items.map(({ item_id }, place) => (ranks.has(item_id) ? ranks.get(item_id) - place : null));
  const there = new Set(after.items.map(({ item_id }) => item_id));
  const gone = before.filter(({ item_id }) => !there.has(item_id));
  const fresh = moves.filter((one) => one === null).length;
  const moved = moves.filter(Boolean).length;
  const words = fresh || moved || gone.length ? `${plural(fresh, "item")} new, ${moved} moved, ${gone.length} gone` : "The list stays as it is";
  return html`
    <p class="small quiet" role="status">${words}${after.status === "fallback" ? " · nothing is left that the model can go by: it is what is popular" : ""}</p>
    <${Rows} items=${after.items} moves=${moves} lit=${lit} onLit=${onLit} onWhy=${onWhy} label="The list with the edited history" />
    ${gone.length > 0 && html`<div><h3 class="small">Gone</h3><ul class="small" data-part="gone">${gone.map((item) => html`<li key=${item.item_id} data-item=${item.item_id}><s>${title(item)}</s> <span class="quiet">was ${item.rank}</span></li>`)}</ul></div>`}`;
}

function History({ rows, events, changed, onChange }) {
  const [all, setAll] = useState(false);
  const newest = rows.map((row, place) => ({ ...row, place })).reverse();
  const shown = all ? newest : newest.slice(0, SHOWN);
  const item = useItems(shown.map(({ item_id }) => item_id));
  const put = (place, row) => onChange(rows.map((one, at) => (at === place ? row : one)));
  const swap = (place, other) => {
    const next = rows.slice();
    [next[place], next[other]] = [next[other], next[place]];
    onChange(next);
  };
  const add = (one) => {
    keep([one]);
    onChange([...rows, { at: null, item_id: one.item_id, type: "view" }]);
  };
  const kinds = (type) => [...new Set([...KINDS, ...events.map((one) => one.type), type])];
  const mark = (row) => (row.at === null ? "added" : row.type !== events[row.at].type ? `was ${events[row.at].type}` : null);
  return html`<section class="stack tight" aria-label="Edited history" data-part="edit">
    <div class="row apart tight"><h3>History, newest first</h3><${Button} small disabled=${!changed} why=${changed ? null : "It is as it was"} onClick=${() => onChange(events.map((one, at) => ({ ...one, at })))}>Reset<//></div>
    <${ItemSearch} label="Add an item" bare placeholder="Add an item" onPick=${add} />
    ${!rows.length && html`<p class="quiet">No events.</p>`}
    <ol class="inspected scrolled" tabindex="0" aria-label="Events of the edited history">
      ${shown.map((row) => {
        const name = title(item(row.item_id));
        const button = (label, icon, act, off) => html`<${Button} kind="quiet" small label=${`${label}: ${name.slice(0, 80)}`} disabled=${off} onClick=${act}><${Icon} name=${icon} /><//>`;
        return html`<li key=${`${row.at}-${row.item_id}-${row.place}`} data-item=${row.item_id}>
          <span class="grow wrap">${name}${mark(row) && html` <span class="small strong">(${mark(row)})</span>`}<span class="small quiet row tight">${row.at !== null && when(events[row.at].timestamp, { seconds: false })}</span></span>
          <span class="row tight tools">
            <${Select} label=${`Kind of event: ${name.slice(0, 80)}`} value=${row.type} options=${kinds(row.type)} onChange=${(type) => put(row.place, { ...row, type })} />
            ${button("Later", "up", () => swap(row.place, row.place + 1), row.place === rows.length - 1)}${button("Earlier", "down", () => swap(row.place, row.place - 1), row.place === 0)}${button("Remove", "trash", () => onChange(rows.filter((_, at) => at !== row.place)))}
          </span>
        </li>`;
      })}
    </ol>
    ${!all && rows.length > SHOWN && html`<div><${Button} small onClick=${() => setAll(true)}>All ${rows.length}<//></div>`}
  </section>`;
}
