// What runs the service: versions, memory, queues, slow requests, the store's size, settings in force.
import { useLoad } from "../lib/data.js";
import { ago, bytes, ms, number, when } from "../lib/format.js";
import { html, useState } from "../lib/html.js";
import { Button, Card, Loading, Page, Problem, Stat, Table } from "../ui/index.js";

export default function System() {
  const { data, error, reload } = useLoad("/v1/system", undefined, { every: 5 });
  if (error && !data) return html`<${Page} title="System"><${Problem} error=${error} retry=${reload} /><//>`;
  if (!data) return html`<${Page} title="System"><${Loading} rows=${6} /><//>`;
  return html`<${Page} title="System" lead="What runs the service, and how busy it is.">
    <div class="grid" style=${{ "--least": "min(200px, 40vw)" }}>
      <${Stat} label="Up since" value=${ago(data.started).replace(" ago", "")} note=${when(data.started)} />
      <${Stat} label="Memory" value=${bytes(data.memory)} note="of the process, in memory" />
      <${Stat} label="Processors" value=${number(data.processors)} note=${`${number(data.threads)} for the model`} />
      <${Stat} label="Models on disk" value=${bytes(data.models_size)} note=${data.models ?? "one fixed model"} />
      <${Stat} label="Store" value=${data.store} note=${`${number(data.listeners)} pages listen`} />
    </div>
    <div class="grid" style=${{ "--least": "380px" }}>
      <${Card} title="Waiting now" note="Calls that run or wait, by what they wait for.">
        <${Table} caption="Queues" rows=${Object.entries(data.queues)} rowKey=${([name]) => name} columns=${[{ key: "name", label: "For", render: ([name]) => name }, { key: "count", label: "Calls", align: "number", render: ([, count]) => number(count) }]} />
      <//>
      <${Card} title="Versions"><${Table} caption="Versions" rows=${Object.entries(data.versions)} rowKey=${([name]) => name} columns=${[{ key: "name", label: "Of", render: ([name]) => name }, { key: "version", label: "Version", render: ([, version]) => html`<code>${version}</code>` }]} /><p class="small quiet">${data.platform}</p><//>
    </div>
    <${Slow} />
    <${Rows} />
    <${Card} title="Settings in force" note="Change them with --set SECTION.KEY=VALUE when the service starts.">
      ${Object.entries(data.settings).map(([section, values]) => html`<details key=${section}><summary class="strong">${section}</summary><${Table} caption=${`Settings of ${section}`} rows=${Object.entries(values)} rowKey=${([name]) => name} columns=${[{ key: "name", label: "Setting", render: ([name]) => html`<code>${name}</code>` }, { key: "value", label: "Value", render: ([, value]) => html`<code>${JSON.stringify(value)}</code>` }]} /></details>`)}
    <//>
  <//>`;
}

function Slow() {
  const { data, error } = useLoad("/v1/slow-requests", undefined, { every: 10 });
  return html`<${Card} title="Slow requests" note=${data ? `The last hundred of ${ms(data.threshold_ms)} or more.` : ""}>
    ${error && html`<${Problem} error=${error} />`}
    ${data && html`<${Table} caption="Slow requests" rows=${data.requests} rowKey=${(row) => row.request_id} empty="None was slow" columns=${[
      { key: "time", label: "When", render: (row) => html`<span title=${when(row.time)}>${ago(row.time)}</span>` },
      { key: "route", label: "Request", render: (row) => html`<code>${row.method} ${row.route}</code>` },
      { key: "status", label: "Status", align: "number" },
      { key: "ms", label: "Took", align: "number", render: (row) => ms(row.milliseconds) },
      { key: "stages", label: "Of which", render: (row) => html`<span class="small">${Object.entries(row.stages).map(([stage, took]) => `${stage} ${ms(took)}`).join(" · ")}</span>` },
    ]} />`}
  <//>`;
}

/** Rows of each table: counting takes seconds in a large store, so it is asked for. */
function Rows() {
  const [asked, setAsked] = useState(false);
  const { data, error, loading } = useLoad(asked ? "/v1/statistics" : null);
  const { bytes: size, bytes_per_event: each, ...tables } = data ?? {};
  return html`<${Card} title="The store in rows" note="Counting takes seconds where there are millions." actions=${html`<${Button} small onClick=${() => setAsked(true)}>${loading ? "Counting…" : "Count"}<//>`}>
    ${error && html`<${Problem} error=${error} />`}
    ${data && html`<p>${bytes(size)}, ${number(each, 0)} bytes an event</p><${Table} caption="Rows by table" rows=${Object.entries(tables)} rowKey=${([name]) => name} columns=${[{ key: "name", label: "Table", render: ([name]) => name }, { key: "rows", label: "Rows", align: "number", render: ([, count]) => number(count) }]} />`}
  <//>`;
}
