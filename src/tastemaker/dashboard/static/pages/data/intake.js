// What comes in, and what is refused with the reason.
import { useLoad, usePages } from "../../lib/data.js";
import { ago, number, plural, when } from "../../lib/format.js";
import { html, useMemo } from "../../lib/html.js";
import { setParams } from "../../lib/route.js";
import { Badge, Button, Card, Chart, Empty, Loading, Problem, Stat, Table } from "../../ui/index.js";

export function Intake({ code }) {
  const { data, error, reload } = useLoad("/v1/data/intake", undefined, { every: 10 });
  const x = useMemo(() => (data?.hours ?? []).map((hour) => Date.parse(hour) / 1000), [data]);
  const series = useMemo(() => Object.entries(data?.kinds ?? {}).map(([label, values]) => ({ label, values })), [data]);
  if (error && !data) return html`<${Card} title="Intake"><${Problem} error=${error} retry=${reload} /><//>`;
  if (!data) return html`<${Card} title="Intake"><${Loading} /><//>`;
  return html`<div class="grid" style=${{ "--least": "min(200px, 40vw)" }}>
      <${Stat} label="Accepted" value=${number(data.accepted)} note="since the service started" />
      <${Stat} label="Duplicates" term="duplicates" value=${number(data.duplicates)} note="had no effect" />
      <${Stat} label="Rejected" value=${number(data.rejected)} note="kept below, with the reason" />
    </div>
    <${Card} title="Intake" note=${`The newest ${plural(data.counted, "event")} by the hour they happened: the week before the last of them.`}>
      ${data.counted === 0
        ? html`<${Empty} title="No event has come in yet"><p>Import some with <code>tastemaker store import</code>, or send them to <code>POST /v1/events</code>.</p><//>`
        : html`<${Chart} x=${x} time series=${series} unit="events / h" caption="Events by hour and kind" />`}
    <//>
    <${Refusals} refused=${data.refused} code=${code} />`;
}

function Refusals({ refused, code }) {
  const letters = usePages("/v1/dead-letters", { code, limit: 10 }, "rows");
  return html`<${Card} title="Rejected events" note="Nothing is dropped silently: what was refused is here as it was sent." id="rejects">
    <div class="stack">
      ${refused.length > 0 && html`<${Table} caption="Reasons" rows=${refused} rowKey=${(row) => row.code} columns=${[
        { key: "code", label: "Reason", render: (row) => html`<${Button} small pressed=${row.code === code} onClick=${() => setParams({ code: row.code === code ? null : row.code })}>${row.code}<//>` },
        { key: "count", label: "Events", align: "number", render: (row) => number(row.count) },
        { key: "why", label: "What it means" },
        { key: "hint", label: "What to do" },
      ]} />`}
      ${letters.error && html`<${Problem} error=${letters.error} retry=${letters.reload} />`}
      <${Table} caption="Rejected events, newest first" rows=${letters.rows} more=${letters.more} onMore=${letters.next} loading=${letters.loading} empty=${html`<${Empty} title="None was rejected"><p>Events that cannot be taken would be listed here.</p><//>`} columns=${[
        { key: "time", label: "When", render: (row) => html`<span title=${when(row.time / 1e6)}>${ago(row.time / 1e6)}</span>` },
        { key: "code", label: "Reason", render: (row) => html`<${Badge} tone="warn">${row.code}<//>` },
        { key: "detail", label: "Detail" },
        { key: "raw", label: "As sent", render: (row) => html`<code class="small wrap">${JSON.stringify(row.raw)}</code>` },
      ]} />
    </div>
  <//>`;
}
