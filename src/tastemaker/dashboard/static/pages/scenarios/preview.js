// What rules would change: lists of some users as they are, beside those under the draft.
import { api } from "../../lib/api.js";
import { number, plural, share, title } from "../../lib/format.js";
import { html, useState } from "../../lib/html.js";
import { href } from "../../lib/route.js";
import { Badge, Button, Card, Empty, Field, Input, Note, Problem, Stat, Table, Tip } from "../../ui/index.js";
import { TIPS, tidy } from "./words.js";

export function Preview({ path, rules, wrong }) {
  const [ids, setIds] = useState("");
  const [users, setUsers] = useState("12");
  const [state, setState] = useState(null);
  const run = async () => {
    const list = ids.split(/[\n,]/).map((one) => one.trim()).filter(Boolean).slice(0, 50);
    try {
      setState({ told: await api.post(`${path}:preview`, { rules: tidy(rules), user_ids: list, users: Math.min(50, Math.max(1, Number(users) || 12)) }) });
    } catch (error) {
      setState({ error });
    }
  };
  return html`<div class="stack">
    <${Card} title=${html`Dry run <${Tip} text=${TIPS.preview} />`} note="With the rules as they are in the editor, saved or not.">
      <div class="stack">
        <div class="grid fit">
          <${Field} label="Users to draw" hint="from those the model knows; the same ones each time"><${Input} type="number" min="1" max="50" value=${users} onInput=${setUsers} /><//>
          <${Field} label="Or these users" hint="ids with commas between them"><${Input} value=${ids} onInput=${setIds} spellcheck=${false} /><//>
        </div>
        <div><${Button} kind="primary" onClick=${run} why=${wrong && `${wrong.rule}: ${wrong.detail}`}>Preview<//></div>
      </div>
    <//>
    ${state?.error && html`<${Problem} error=${state.error} />`}
    ${!state && html`<${Empty} title="Nothing compared yet"><p>A preview shows what would move on the lists of some users before anybody else sees it.</p><//>`}
    ${state?.told && html`<${Told} told=${state.told} />`}
  </div>`;
}

function Told({ told }) {
  const { totals } = told;
  if (!totals.users) return html`<${Empty} title="No users to look at"><p>The store knows no users yet. Name some, or send events first.</p><//>`;
  return html`
    <div class="grid fit" data-totals style=${{ "--least": "170px" }}>
      <${Stat} label=${html`Places that change <${Tip} text=${TIPS.changed} />`} value=${share(totals.share_changed)} note=${`${totals.changed} of ${totals.slots}, against ${told.compared}`} />
      <${Stat} label="Lists that change" value=${`${totals.lists_changed} of ${totals.users}`} note=${told.drawn ? "users drawn" : "users named"} />
      <${Stat} label="Items that enter, leave" value=${`${number(totals.entering)}, ${number(totals.leaving)}`} note="different items over all lists" />
      <${Stat} label=${html`Score given up <${Tip} text=${TIPS.given_up} />`} value=${number(totals.score_given_up)} note=${totals.score_given_up === null ? "the model scored no list" : `of ${number(totals.score_before)}; spread ${number(totals.score_spread)}`} />
      <${Stat} label="Lists too short" value=${number(totals.short)} tone=${totals.short ? "warn" : undefined} note=${Object.entries(totals.warnings).map(([name, count]) => `${name}: ${count}`).join(", ") || "no warnings"} />
    </div>
    ${totals.changed === 0 && html`<${Note}>Nothing changes for these users.<//>`}
    <div class="grid fit" style=${{ "--least": "300px" }}>
      <${Moving} title="Enter most lists" rows=${told.entering} /> <${Moving} title="Leave most lists" rows=${told.leaving} />
    </div>
    <${Card} title="List by list" note="Left as it is, right under the draft.">
      <div class="stack">${told.users.map((user, place) => html`<${User} key=${user.user_id} user=${user} open=${place === 0} />`)}</div>
    <//>`;
}

function Moving({ title: heading, rows }) {
  const [all, setAll] = useState(false);
  return html`<${Card} title=${heading}>
    <${Table} caption=${heading} rows=${all ? rows : rows.slice(0, 6)} rowKey=${(row) => row.item_id} more=${!all && rows.length > 6} onMore=${() => setAll(true)} empty=${html`<p class="quiet">none</p>`}
      columns=${[
        { key: "item", label: "Item", render: (row) => html`<a href=${href("catalogue", { item: row.item_id })}>${title(row)}</a>` },
        { key: "lists", label: "Lists", align: "number", render: (row) => number(row.lists) },
      ]} />
  <//>`;
}

function User({ user, open }) {
  return html`<details open=${open} data-user=${user.user_id}>
    <summary><span class="strong wrap">${user.user_id}</span> <span class="quiet">${user.changed ? `${plural(user.changed, "place")} of ${Math.max(user.before.length, user.after.length)} ${user.changed === 1 ? "changes" : "change"}` : "nothing changes"}${user.status_after === "ok" ? "" : `, ${user.status_after}`}</span></summary>
    <div class="sides">
      <${Side} heading="As it is" rows=${user.before} mark=${left} /> <${Side} heading="Under the draft" rows=${user.after} mark=${right} />
    </div>
    ${user.warnings.length > 0 && html`<p class="small warn-text">${user.warnings.join(", ")}</p>`}
  </details>`;
}

function Side({ heading, rows, mark }) {
  return html`<section aria-label=${heading}>
    <h3>${heading}</h3>
    <ol class="ranked">
      ${rows.map((row) => html`<li key=${row.item_id} data-item=${row.item_id}>
        <span class="rank number">${row.rank}</span>
        <span class="grow wrap">${title(row)}${row.why && html`<span class="small quiet why">${row.why}</span>`}</span>
        ${mark(row)}
      </li>`)}
      ${!rows.length && html`<li class="quiet">an empty list</li>`}
    </ol>
  </section>`;
}

const left = (row) => (row.other_rank ? "" : html`<${Badge} tone="bad">gone<//>`);

function right(row) {
  if (!row.other_rank) return html`<${Badge} tone="good">${row.by === "pin" ? "pinned, new" : "new"}<//>`;
  const up = row.other_rank - row.rank;
  if (!up) return row.by === "pin" ? html`<${Badge}>pinned<//>` : html`<span class="quiet" aria-label="same place">=</span>`;
  return html`<${Badge} tone=${up > 0 ? "info" : ""}><span class="visually-hidden">${up > 0 ? "up by" : "down by"}</span><span aria-hidden="true">${up > 0 ? "▲" : "▼"}</span>${Math.abs(up)}<//>`;
}
