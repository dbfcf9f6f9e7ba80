// What a user would see, and how it changes with what they do: the service's own answers, and real events.
import { api } from "../lib/api.js";
import { useLoad, useSettled } from "../lib/data.js";
import { isVisitor, newVisitor } from "../lib/events.js";
import { html, useEffect, useState } from "../lib/html.js";
import { setParams } from "../lib/route.js";
import { Button, Card, Empty, Field, Input, Loading, Note, Page, Problem, Select, Toggle, UserSearch } from "../ui/index.js";
import { Onboarding } from "./shopfront/onboarding.js";
import { useShelves } from "./shopfront/shelves.js";
import { Shelf } from "./shopfront/shelf.js";
import { Timeline } from "./shopfront/timeline.js";

export default function Shopfront({ params }) {
  const user = params.user ?? "";
  const choose = (id) => setParams({ user: id }, { step: true });
  const surprise = async () => {
    // of an item many met, somebody who met it: any part of the users may come up, however many there are
    const { items } = await api.get("/v1/popular", { limit: 50 });
    const some = items[Math.floor(Math.random() * items.length)];
    const { events } = some ? await api.get("/v1/events", { item_id: some.item_id, limit: 100 }) : { events: [] };
    if (!events.length) throw new Error("no user is known yet");
    choose(events[Math.floor(Math.random() * events.length)].user_id);
  };
  useEffect(() => {
    if (!user) surprise().catch(() => choose(newVisitor()));
  }, [user]);
  const actions = html`<${Button} onClick=${surprise}>Surprise me<//><${Button} onClick=${() => choose(newVisitor())}>A new visitor<//>`;
  return html`<${Page} title="Shopfront" lead="What this user would see now. Click or buy something: the event is real, and the next answer knows it." actions=${actions}>
    <${UserSearch} value=${isVisitor(user) ? "" : user} onPick=${choose} />
    ${user && html`<${Shop} key=${user} user=${user} params=${params} />`}
  <//>`;
}

function Shop({ user, params }) {
  const diversity = useSettled(Number(params.diversity ?? 0), 250);
  const options = { filter: params.filter ?? "", seen: params.seen === "all", diversity, scenario: params.scenario ?? "" };
  const { shelves, done, act, change, error, reload } = useShelves(user, options);
  const visitor = isVisitor(user);
  return html`<div class="split">
    <div class="stack">
      <${Options} params=${params} options=${options} />
      <div role="status" aria-live="polite">${change && html`<${Note} tone=${change.fresh ? "good" : "info"}>${change.words}<//>`}</div>
      ${error && html`<${Problem} error=${error} retry=${reload} />`}
      ${shelves.length === 0 && !error && html`<${Card} label="Shelves"><${Loading} rows=${8} /><//>`}
      ${visitor && html`<${Onboarding} user=${user} onAnswer=${reload} />`}
      ${shelves.map((shelf) => html`<${Shelf} key=${shelf.id} shelf=${shelf} onDeed=${act} />`)}
      ${shelves.length > 0 && shelves.every((shelf) => shelf.ready && !shelf.items.length) && html`<${Card}><${Empty} title="There is nothing to show"><p>The catalogue has no items that may be recommended, or the filter leaves none.</p><//><//>`}
    </div>
    <${Timeline} user=${user} done=${done} />
  </div>`;
}

function Options({ params, options }) {
  const [filter, setFilter] = useState(options.filter);
  const scenarios = useLoad("/v1/scenarios");
  const names = (scenarios.data?.scenarios ?? []).filter((one) => one.in_force).map(({ name }) => name);
  const settle = (event) => {
    event.preventDefault();
    setParams({ filter });
  };
  return html`<details class="card" open=${Boolean(options.filter || options.diversity || options.seen || options.scenario)}>
    <summary class="strong">Options of the request</summary>
    <form class="grid" style=${{ "--least": "200px", marginTop: "var(--s3)" }} onSubmit=${settle}>
      <${Field} label="Only items where" hint="Such as price < 5; Enter applies it.">
        <${Input} value=${filter} onInput=${setFilter} spellcheck="false" />
      <//>
      <${Field} label=${`Diversity: ${Number(params.diversity ?? 0)}`} hint="0: what fits best; 1: as varied as can be.">
        <${Input} type="range" min="0" max="1" step="0.1" value=${params.diversity ?? 0} onInput=${(value) => setParams({ diversity: Number(value) || null })} />
      <//>
      ${names.length > 0 && html`<${Field} label="Scenario" hint="Rules that were published under this name."><${Select} value=${options.scenario} options=${[["", "none"], ...names]} onChange=${(value) => setParams({ scenario: value })} /><//>`}
      <div class="field"><${Toggle} checked=${options.seen} onChange=${(on) => setParams({ seen: on ? "all" : null })}>Show again what was seen<//></div>
    </form>
  </details>`;
}

