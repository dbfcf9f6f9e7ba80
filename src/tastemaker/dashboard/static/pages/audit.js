// Who did what, newest first.
import { usePages, useSettled } from "../lib/data.js";
import { ago, when } from "../lib/format.js";
import { html, useEffect, useState } from "../lib/html.js";
import { setParams } from "../lib/route.js";
import { Card, Empty, Field, Input, Page, Problem, Select, Table } from "../ui/index.js";

const KINDS = [["", "everything"], ["models", "models"], ["keys", "keys"], ["scenarios", "scenarios"], ["items", "items"], ["users", "users"], ["jobs", "jobs"], ["data", "data"]];

export default function Audit({ params }) {
  const [actor, setActor] = useState(params.actor ?? "");
  const settled = useSettled(actor.trim(), 300);
  useEffect(() => setParams({ actor: settled }), [settled]);
  const pages = usePages("/v1/audit", { action: params.action, actor: params.actor, limit: 50 }, "rows");
  return html`<${Page} title="Audit" lead="Whatever changed how the service runs, and who did it. Secrets are never in it.">
    <${Card} label="Audit log">
      <div class="stack">
        <div class="grid" style=${{ "--least": "200px" }}>
          <${Field} label="What"><${Select} value=${params.action ?? ""} options=${KINDS} onChange=${(action) => setParams({ action })} /><//>
          <${Field} label="Who"><${Input} value=${actor} onInput=${setActor} placeholder="the id of a key, open, or command line" /><//>
        </div>
        ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
        <${Table} caption="Audit log, newest first" rows=${pages.rows} more=${pages.more} onMore=${pages.next} loading=${pages.loading} empty=${html`<${Empty} title="Nothing of this kind happened"><p>Keys made or revoked, models trained or put into use, and rules published are written down here.</p><//>`}
          columns=${[
            { key: "time", label: "When", render: (row) => html`<span title=${when(row.time / 1e6)}>${ago(row.time / 1e6)}</span>` },
            { key: "actor", label: "Who", render: (row) => html`<code>${row.actor}</code>` },
            { key: "action", label: "What" },
            { key: "detail", label: "Detail", render: (row) => html`<span class="small">${Object.entries(row.detail).map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ")}</span>` },
          ]} />
      </div>
    <//>
  <//>`;
}
