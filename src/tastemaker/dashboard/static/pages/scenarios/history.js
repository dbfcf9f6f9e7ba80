// What was ever published, by whom, and what each version changed.
import { usePages } from "../../lib/data.js";
import { ago, when } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { Badge, Button, Card, Empty, Loading, Problem } from "../../ui/index.js";
import { NAMES, told } from "./words.js";

export function History({ path, revision, inForce, onTake }) {
  const { rows, more, next, error, loading, reload } = usePages(`${path}/versions`, { limit: 20 }, "versions");
  if (error) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!rows.length) return loading ? html`<${Loading} />` : html`<${Empty} title="Nothing was published yet"><p>Save a draft and publish it: from then on each version is kept here, and can be put back.</p><//>`;
  return html`<div class="stack" key=${revision}>
    ${rows.map((row) => html`<${Version} key=${row.version} row=${row} inForce=${row.version === inForce} onTake=${onTake} />`)}
    ${more && html`<div><${Button} onClick=${next}>${loading ? "Loading…" : "Earlier ones"}<//></div>`}
  </div>`;
}

function Version({ row, inForce, onTake }) {
  const actions = onTake && html`<${Button} small onClick=${() => onTake(row.rules)}>Take into the editor<//>`;
  return html`<${Card} title=${`Version ${row.version}`} actions=${actions}>
    <div class="stack tight">
      <div class="row tight">
        ${inForce && html`<${Badge} tone="good">in force<//>`} ${row.withdrawn && !inForce && html`<${Badge} tone="warn">rolled back<//>`}
        <span>published <time datetime=${row.published} title=${when(row.published)}>${ago(row.published)}</time> by ${row.published_by}</span>
        ${row.withdrawn && html`<span class="quiet">taken out of force <time datetime=${row.withdrawn} title=${when(row.withdrawn)}>${ago(row.withdrawn)}</time> by ${row.withdrawn_by}</span>`}
      </div>
      <p class="small quiet">${row.replaced ? `Changes from version ${row.replaced}:` : "Changes from no rules:"}</p>
      <dl class="changes">
        ${row.changes.map((change) => html`<div key=${change.rule}>
          <dt>${NAMES[change.rule] ?? change.rule}</dt>
          <dd>${change.before !== null && html`<del><span class="visually-hidden">before: </span>${told(change.rule, change.before)}</del> <span aria-hidden="true">→</span> `}<ins><span class="visually-hidden">after: </span>${told(change.rule, change.after)}</ins></dd>
        </div>`)}
        ${!row.changes.length && html`<div><dt class="quiet">nothing</dt><dd></dd></div>`}
      </dl>
    </div>
  <//>`;
}
