// Why does this user see that? A user's past, what each version of the model makes of it, and what another past would bring.
import { useLoad, useSettled } from "../lib/data.js";
import { html, useEffect, useState } from "../lib/html.js";
import { setParams } from "../lib/route.js";
import { Button, Card, Empty, Field, Input, Page, Select, Toggle, UserSearch } from "../ui/index.js";
import { LENGTHS, requestOf } from "./inspector/ask.js";
import { Columns, versionsOf } from "./inspector/columns.js";
import { Person } from "./inspector/person.js";
import { WhatIf } from "./inspector/what-if.js";
import { Why } from "./inspector/why.js";

export default function Inspector({ params }) {
  const user = params.user ?? "";
  const choose = (id) => setParams({ user: id, edit: null, item: null }, { step: true });
  return html`<${Page} title="Inspector" lead="What a user did, what each version of the model makes of it, and why.">
    <${UserSearch} value=${user} onPick=${choose} />
    ${user ? html`<${Case} key=${user} user=${user} params=${params} />` : html`<${Nobody} onPick=${choose} />`}
  <//>`;
}

function Nobody({ onPick }) {
  const first = useLoad("/v1/users", { limit: 8 });
  const users = first.data?.users ?? [];
  return html`<${Card} label="No user chosen"><${Empty} title="Whom to look at?">
    <p>${users.length ? "Type a user's id above, or begin with one of these." : "Type a user's id above. The store knows no users yet: send events first."}</p>
    <div class="row tight">${users.map(({ user_id }) => html`<${Button} key=${user_id} small onClick=${() => onPick(user_id)}>${user_id}<//>`)}</div>
  <//><//>`;
}

function Case({ user, params }) {
  const [asked, setAsked] = useState(0);
  const request = requestOf({ ...params, user });
  const why = (item) => {
    setParams({ item });
    setAsked((count) => count + 1);
  };
  return html`<${Options} params=${params} />
  <${Columns} request=${request} versions=${versionsOf(params.versions)} onWhy=${why} />
  <div class="split">
    <div class="stack">
      <${Why} user=${user} item=${params.item} request=${request} asked=${asked} onPick=${(item) => setParams({ item })} />
      <${WhatIf} user=${user} edit=${params.edit} request=${request} onWhy=${why} />
    </div>
    <aside aria-label="The user"><${Person} user=${user} onWhy=${why} /></aside>
  </div>`;
}

function Options({ params }) {
  const [filter, setFilter] = useState(params.filter ?? "");
  const settled = useSettled(filter, 500);
  const scenarios = useLoad("/v1/scenarios");
  const names = (scenarios.data?.scenarios ?? []).filter((one) => one.in_force).map(({ name }) => name);
  useEffect(() => setParams({ filter: settled.trim() }), [settled]);
  return html`<details class="card" open=${Boolean(params.filter || params.seen || params.scenario)}>
    <summary class="strong">Options of the request</summary>
    <div class="grid" style=${{ "--least": "180px", marginTop: "var(--s3)" }}>
      <${Field} label="Items"><${Select} value=${requestOf(params).limit} options=${LENGTHS} onChange=${(limit) => setParams({ limit })} /><//>
      <${Field} label="Only items where" hint="Such as price < 5"><${Input} value=${filter} onInput=${setFilter} spellcheck="false" /><//>
      ${names.length > 0 && html`<${Field} label="Scenario"><${Select} value=${params.scenario ?? ""} options=${[["", "none"], ...names]} onChange=${(scenario) => setParams({ scenario })} /><//>`}
      <div class="field"><${Toggle} checked=${params.seen === "all"} onChange=${(on) => setParams({ seen: on ? "all" : null })}>Show again what was seen<//></div>
    </div>
  </details>`;
}
