// The rules of a scenario as forms; each says what it does, and what the catalogue of now makes of it.
import { number, plural, title } from "../../lib/format.js";
import { createContext, html, useContext, useState } from "../../lib/html.js";
import { Button, Card, Field, Icon, Input, ItemSearch, Note, Select, Tip, Toggle } from "../../ui/index.js";
import { TIPS, parametersOf, parsed, typed } from "./words.js";

/** Whether the key may change nothing: fields are shown and off, explanations stay on. */
const Locked = createContext(false);
const Line = (props) => html`<${Input} ...${props} disabled=${useContext(Locked)} />`;
const Choice = (props) => html`<${Select} ...${props} disabled=${useContext(Locked)} />`;

export function Rules({ rules, change, checked, readOnly, onDelete, why }) {
  const shared = { rules, change, checked, readOnly };
  const general = (checked?.errors ?? []).filter(({ rule }) => rule === "rules");
  return html`<${Locked.Provider} value=${readOnly}><div class="stack rules">
    ${readOnly && html`<${Note}>This key may look, but change nothing: saving ${why}.<//>`}
    ${general.map(({ detail }) => html`<${Note} key=${detail} tone="bad">${detail}<//>`)}
    <${Filter} ...${shared} /> <${Boosts} ...${shared} /> <${Pins} ...${shared} /> <${Seen} ...${shared} /> <${Variety} ...${shared} />
    <${General} ...${shared} onDelete=${onDelete} why=${why} />
  </div><//>`;
}

const heading = (words, tip) => html`${words} <${Tip} text=${TIPS[tip]} />`;
const about = (checked, rule) => ({
  error: checked?.errors.find((one) => one.rule === rule)?.detail,
  match: checked?.matches.find((one) => one.rule === rule),
  notes: (checked?.notes ?? []).filter((one) => one.rule === rule),
});
const matches = (match) => match && `${number(match.matches)} of ${plural(match.available, "item")} that may be shown ${match.matches === 1 ? "matches" : "match"}`;
const replaced = (rows, place, row) => rows.map((one, at) => (at === place ? row : one));
const without = (rows, place) => rows.filter((_, at) => at !== place);
const asNumber = (text) => (text.trim() === "" || !Number.isFinite(Number(text)) ? null : Number(text));

function Remove({ label, onClick, readOnly }) {
  return readOnly ? null : html`<${Button} kind="quiet" small label=${label} onClick=${onClick}><${Icon} name="close" /><//>`;
}

function Filter({ rules, change, checked, readOnly }) {
  const { error, match, notes } = about(checked, "filter");
  const names = parametersOf(rules);
  const values = rules.parameters ?? {};
  return html`<${Card} id="rule-filter" title=${heading("Filter", "filter")}>
    <div class="stack">
      <${Field} label="Only items that match" error=${error} hint=${rules.filter ? matches(match) : "Everything available may be shown."}>
        <${Line} rows=${2} value=${rules.filter ?? ""} onInput=${(text) => change({ filter: text.trim() ? text : null })} spellcheck=${false} placeholder="category = 'mugs' AND price < $most" maxlength="4096" />
      <//>
      ${notes.map((note) => html`<${Note} key=${note.code} tone="warn">${note.detail}<//>`)}
      ${names.length > 0 &&
      html`<div class="stack tight" role="group" aria-label="Parameters">
        <h3>${heading("Parameters", "parameters")}</h3>
        ${names.map((name) => html`<${Field} key=${name} label=${`$${name}`} hint="a number, a text, true or false; several with commas between them">
          <${Line} value=${typed(values[name])} onInput=${(text) => change({ parameters: { ...values, [name]: parsed(text) } })} />
        <//>`)}
      </div>`}
      <div class="row tight"><${Toggle} checked=${rules.strict_filter === false} disabled=${readOnly} onChange=${(lenient) => change({ strict_filter: !lenient })}>Fill lists up without it where too few match<//><${Tip} text=${TIPS.strict} /></div>
    </div>
  <//>`;
}

function Boosts({ rules, change, checked, readOnly }) {
  const rows = rules.boosts ?? [];
  const set = (boosts) => change({ boosts });
  return html`<${Card} id="rule-boosts" title=${heading("Boosts", "boosts")}>
    <ul class="stack">
      ${rows.map((row, place) => {
        const { error, match, notes } = about(checked, `boosts[${place}]`);
        return html`<li key=${place} class="rule-row">
          <div class="grow"><${Field} label="Items that match" error=${error} hint=${matches(match)}>
            <${Line} value=${row.filter} onInput=${(filter) => set(replaced(rows, place, { ...row, filter }))} spellcheck=${false} placeholder="category = 'sale'" />
          <//></div>
          <${Weight} value=${row.weight} onInput=${(weight) => set(replaced(rows, place, { ...row, weight }))} />
          <${Remove} readOnly=${readOnly} label=${`Remove boost ${place + 1}`} onClick=${() => set(without(rows, place))} />
          ${notes.map((note) => html`<p key=${note.code} class="small warn-text">${note.detail}</p>`)}
        </li>`;
      })}
      ${!rows.length && html`<li class="quiet">Nothing is raised or lowered.</li>`}
    </ul>
    ${!readOnly && html`<p class="more"><${Button} small onClick=${() => set([...rows, { filter: "", weight: 2 }])}>Add a boost<//></p>`}
  <//>`;
}

/** A factor, as "× 2"; what is no number above 0 is not taken. */
function Weight({ value, onInput }) {
  const [text, setText] = useState(String(value));
  const good = Number(text) > 0 && Number(text) <= 1000;
  const type = (next) => {
    setText(next);
    if (Number(next) > 0 && Number(next) <= 1000) onInput(Number(next));
  };
  return html`<div class="weight"><${Field} label="Weight" hint=${value > 1 ? "raised" : value < 1 ? "lowered" : "as it is"} error=${good ? "" : "above 0, at most 1000"}>
    <${Times} value=${text} onInput=${type} />
  <//></div>`;
}

const Times = ({ value, onInput, ...rest }) => html`<span class="row tight nowrap"><span aria-hidden="true">×</span><${Line} inputmode="decimal" value=${value} onInput=${onInput} ...${rest} /></span>`;

function Pins({ rules, change, checked, readOnly }) {
  const rows = rules.pins ?? [];
  const set = (pins) => change({ pins });
  const taken = new Set(rows.map(({ position }) => position));
  const free = () => Array.from({ length: 101 }, (_, at) => at + 1).find((position) => !taken.has(position));
  const add = (item) => set([...rows, { item_id: item.item_id, position: free() }]);
  return html`<${Card} id="rule-pins" title=${heading("Pins", "pins")}>
    <ul class="stack">
      ${rows.map((row, place) => {
        const { notes } = about(checked, `pins[${place}]`);
        return html`<li key=${row.item_id} class="rule-row">
          <div class="position"><${Field} label="Position"><${Line} type="number" min="1" max="1000" value=${row.position} onInput=${(text) => asNumber(text) >= 1 && set(replaced(rows, place, { ...row, position: Math.round(asNumber(text)) }))} /><//></div>
          <div class="grow"><${Named} id=${row.item_id} checked=${checked} />${notes.map((note) => html`<p key=${note.code} class="small warn-text">${note.detail}</p>`)}</div>
          <${Remove} readOnly=${readOnly} label=${`Remove the pin of ${row.item_id}`} onClick=${() => set(without(rows, place))} />
        </li>`;
      })}
      ${!rows.length && html`<li class="quiet">No item has a place of its own.</li>`}
    </ul>
    ${!readOnly && html`<div class="more"><${ItemSearch} label="Pin an item" listed="available" onPick=${add} /></div>`}
  <//>`;
}

function Named({ id, checked }) {
  const name = title({ item_id: id, properties: checked?.items[id] });
  return html`<div class="wrap strong">${name}</div>${name !== id && html`<div class="small quiet wrap">${id}</div>`}`;
}

const SEEN = [
  ["", "as the request says (yes, unless it says no)"],
  ["yes", "yes, whatever the user has met"],
  ["some", "only some of it"],
  ["no", "no, it may come again"],
];

function Seen({ rules, change, checked, readOnly }) {
  const seen = rules.exclude_seen;
  const kind = seen === null || seen === undefined ? "" : seen === true ? "yes" : seen === false ? "no" : "some";
  const excluded = rules.exclude_item_ids ?? [];
  const choose = (to) => change({ exclude_seen: { "": null, yes: true, no: false, some: { types: ["purchase"] } }[to] });
  const part = (more) => change({ exclude_seen: Object.fromEntries(Object.entries({ ...seen, ...more }).filter(([, value]) => value !== null && value?.length !== 0)) });
  return html`<${Card} id="rule-seen" title=${heading("Leave out", "excluded")}>
    <div class="stack">
      <${Field} label="What the user has met" hint=${TIPS.seen}><${Choice} value=${kind} options=${SEEN} onChange=${choose} /><//>
      ${kind === "some" &&
      html`<div class="grid fit">
        <${Field} label="Kinds of events" hint="with commas between them; empty: all"><${Line} value=${typed(seen.types ?? [])} onInput=${(text) => part({ types: text.split(",").map((one) => one.trim()).filter((one) => /^[A-Za-z][\w.-]*$/.test(one)) })} /><//>
        <${Field} label="In the last days" hint="empty: ever"><${Line} inputmode="decimal" value=${typed(seen.days)} onInput=${(text) => part({ days: asNumber(text) > 0 ? asNumber(text) : null })} /><//>
      </div>`}
      <div class="stack tight">
        <h3>Items that are never shown</h3>
        <ul class="chips">
          ${excluded.map((id, place) => html`<li key=${id} class="chip"><span class="wrap">${title({ item_id: id, properties: checked?.items[id] })}</span><${Remove} readOnly=${readOnly} label=${`Show ${id} again`} onClick=${() => change({ exclude_item_ids: without(excluded, place) })} /></li>`)}
          ${!excluded.length && html`<li class="quiet">none</li>`}
        </ul>
        ${!readOnly && html`<${ItemSearch} label="Leave an item out" onPick=${(item) => excluded.includes(item.item_id) || change({ exclude_item_ids: [...excluded, item.item_id] })} />`}
      </div>
    </div>
  <//>`;
}

function Variety({ rules, change, checked, readOnly }) {
  const caps = Object.entries(rules.max_per ?? {});
  const set = (rows) => change({ max_per: Object.fromEntries(rows.filter(([name]) => name.trim())) });
  const [property, setProperty] = useState("category");
  const { error } = about(checked, "max_per");
  const { rotation } = rules;
  const turn = (more) => {
    const next = { rate: 0.2, seconds: 3600, ...rotation, ...more };
    change({ rotation: next.rate ? next : null });
  };
  return html`<${Card} id="rule-variety" title="Variety">
    <div class="grid fit" style=${{ "--least": "260px" }}>
      <div class="stack tight">
        <${Field} label="Diversity, %" hint=${TIPS.diversity}>
          <${Line} type="number" min="0" max="100" step="5" placeholder="as the request says" value=${rules.diversity === null || rules.diversity === undefined ? "" : Math.round(rules.diversity * 100)}
            onInput=${(text) => change({ diversity: asNumber(text) === null ? null : Math.min(1, Math.max(0, asNumber(text) / 100)) })} />
        <//>
      </div>
      <div class="stack tight">
        <h3>${heading("Caps", "caps")}</h3>
        ${error && html`<p class="small bad-text" role="alert">${error}</p>`}
        <ul class="stack tight">
          ${caps.map(([name, cap], place) => html`<li key=${name} class="row tight nowrap">
            <${Line} type="number" min="1" label=${`At most so many of a ${name}`} value=${cap} onInput=${(text) => asNumber(text) >= 1 && set(replaced(caps, place, [name, Math.round(asNumber(text))]))} />
            <span class="grow wrap">of a ${name}</span>
            <${Remove} readOnly=${readOnly} label=${`Remove the cap of ${name}`} onClick=${() => set(without(caps, place))} />
          </li>`)}
        </ul>
        ${!readOnly && html`<div class="row tight nowrap"><${Line} label="Property to cap" value=${property} onInput=${setProperty} /><${Button} small onClick=${() => set([...caps.filter(([name]) => name !== property.trim()), [property.trim(), 2]])} why=${property.trim() ? "" : "name a property"}>Add a cap<//></div>`}
      </div>
      <div class="stack tight">
        <${Field} label="Rotation, % of the places" hint=${TIPS.rotation}>
          <${Line} type="number" min="0" max="100" step="5" placeholder="as the request says" value=${rotation ? Math.round((rotation.rate ?? 0.2) * 100) : ""} onInput=${(text) => turn({ rate: Math.min(1, Math.max(0, (asNumber(text) ?? 0) / 100)) })} />
        <//>
        ${rotation && html`<${Field} label="Others after, minutes"><${Line} inputmode="decimal" value=${(rotation.seconds ?? 3600) / 60} onInput=${(text) => asNumber(text) > 0 && turn({ seconds: asNumber(text) * 60 })} /><//>`}
      </div>
    </div>
  <//>`;
}

function General({ rules, change, readOnly, onDelete, why }) {
  return html`<${Card} id="rule-general" title="In general" actions=${html`<${Button} kind="danger" small onClick=${onDelete} why=${why}>Delete…<//>`}>
    <div class="stack">
      <${Field} label="Description" hint="for colleagues: where it is shown, and what for"><${Line} value=${rules.description ?? ""} maxlength="1000" onInput=${(description) => change({ description })} /><//>
      <${Field} label="Items of a list" hint=${TIPS.limit}><${Line} type="number" min="1" max="1000" placeholder="10" value=${rules.limit ?? ""} onInput=${(text) => change({ limit: asNumber(text) >= 1 ? Math.min(1000, Math.round(asNumber(text))) : null })} /><//>
    </div>
  <//>`;
}
