// The same question, answered by up to three versions of the model, side by side.
import { ms, number, plural, share } from "../../lib/format.js";
import { html, useState } from "../../lib/html.js";
import { useLoad } from "../../lib/data.js";
import { keep } from "../../lib/items.js";
import { setParams } from "../../lib/route.js";
import { Badge, Button, Card, Icon, Loading, Note, Problem, Select, Tip } from "../../ui/index.js";
import { Curl, useAsk } from "./ask.js";
import { Rows } from "./rows.js";

const MOST = 3;
const STATUS = {
  fallback: "Nothing is known of this user that this model can go by: it is what is popular.",
  degraded: "A part of the service failed or was late: this came from less than the whole way.",
};

const named = ({ name, version }) => `${name}/${version}`;

/** "name/1,name/2" of the address as the API has it. */
export function versionsOf(text = "") {
  return text
    .split(",")
    .map((one) => one.match(/^(.{1,64})\/(\d{1,9})$/))
    .filter(Boolean)
    .map(([, name, version]) => ({ name, version: Number(version) }))
    .slice(0, MOST - 1);
}

export function Columns({ request, versions, onWhy }) {
  const models = useLoad("/v1/models");
  const [lit, setLit] = useState(null);
  const promoted = models.data?.promoted ?? null;
  const current = promoted && { name: promoted.name, version: promoted.version };
  const others = versions.filter((one) => !current || named(one) !== named(current));
  const body = models.data ? { request, versions: current && others.length ? [current, ...others] : others } : null;
  const told = useAsk("/v1/compare", body);
  if (models.error) return html`<${Problem} error=${models.error} retry=${models.reload} />`;
  const columns = told.data?.columns ?? [];
  for (const { answer } of columns) if (answer) keep(answer.items);
  const set = (list) => setParams({ versions: list.map(named).join(",") });
  const taken = new Set([...others, ...(current ? [current] : [])].map(named));
  const free = (models.data?.models ?? []).filter((one) => !taken.has(named(one)) && !one.facts.pruned);
  const add = (text) => text && set([...others, ...versionsOf(text)]);
  const fixed = told.data && !told.data.in_use;
  const lists = columns.filter(({ answer }) => answer).map(({ answer }) => new Set(answer.items.map(({ item_id }) => item_id)));
  const places = (item) => {
    const on = lists.filter((list) => list.has(item.item_id)).length;
    return on > 1 ? (on === lists.length ? "on all lists" : `on ${on} of ${lists.length} lists`) : null;
  };
  const actions = html`
    ${!fixed && others.length < MOST - 1 && free.length > 0 && html`<${Select} label="Add a version" value="" options=${[["", "Add a version…"], ...free.map((one) => [named(one), `${one.name} ${one.version} (${one.state})`])]} onChange=${add} />`}
    <${Button} small onClick=${told.reload}><${Icon} name="refresh" />Ask again<//>`;
  return html`<${Card} id="lists" title="Recommendations" note="Asked now, with all the user did until now; nothing of it is recorded." actions=${actions}>
    ${fixed && html`<${Note}>${models.data.models.length ? "No version of the registry is in use here" : "This service has one fixed model and no other versions"}: there is nothing to put beside it. A service that was started without an artifact keeps versions, and compares them here.<//>`}
    ${told.error && html`<${Problem} error=${told.error} retry=${told.reload} />`}
    ${!told.data && told.loading && html`<${Loading} rows=${6} />`}
    <div class="grid fit" style=${{ "--least": "260px" }} data-part="columns" aria-busy=${told.loading && told.data ? "true" : undefined}>
      ${columns.map(
        (column, place) =>
          html`<${Column}
            key=${column.model ? named(column.model) : place}
            column=${column}
            first=${columns[0]}
            place=${place}
            request=${request}
            lit=${lit}
            onLit=${setLit}
            note=${places}
            onWhy=${onWhy}
            onRemove=${column.in_use ? null : () => set(others.filter((one) => named(one) !== named(column.model)))}
          />`,
      )}
    </div>
  <//>`;
}

function Column({ column, first, place, request, lit, onLit, note, onWhy, onRemove }) {
  const { model, in_use, answer, problem, overlap, moves, loaded_ms } = column;
  const name = model ? `${model.name} ${model.version}` : "The model in use";
  const body = { versions: model ? [model] : [], request };
  const shared = moves.filter((one) => one !== null).length;
  const moved = moves.filter((one) => one).length;
  return html`<section class="stack tight" aria-label=${name} data-version=${model ? named(model) : "fixed"}>
    <div class="row apart tight">
      <h3 class="row tight">${name} ${in_use && html`<${Badge} tone="good">in use<//>`}</h3>
      <span class="row tight">
        <${Curl} path="/v1/compare" body=${body} />
        ${onRemove && html`<${Button} kind="quiet" small label=${`Remove ${name}`} onClick=${onRemove}><${Icon} name="close" /><//>`}
      </span>
    </div>
    ${problem && html`<${Problem} error=${problem} />`}
    ${answer && html`
      <p class="small quiet">
        ${place > 0 && overlap !== null ? html`Overlap@${Math.max(answer.items.length, first.answer.items.length)} ${share(overlap)} <${Tip} text="Items that are on this list and on the first one, as a share of the longer of the two." />: ${plural(shared, "item")} shared, ${number(moved)} of them at another rank` : `${plural(answer.items.length, "item")} of ${number(answer.counts.candidates)} that may be shown`}
        ${" · "}${ms(answer.took_ms)}${loaded_ms !== null && html` · loaded in ${ms(loaded_ms)}`}
      </p>
      ${[STATUS[answer.status], ...answer.warnings.map((one) => one.replaceAll("_", " "))].filter(Boolean).map((words) => html`<p class="small" key=${words}>${words}</p>`)}
      <${Rows} items=${answer.items} moves=${place > 0 && first.answer ? moves : null} lit=${lit} onLit=${onLit} note=${note} onWhy=${onWhy} label=${`List of ${name}`} />`}
  </section>`;
}
