// Long work: trainings, erasures, reports; how far each is, and why one failed.
import { may, post } from "../lib/api.js";
import { usePages, useStream } from "../lib/data.js";
import { ago, duration, when } from "../lib/format.js";
import { html, useRef, useState } from "../lib/html.js";
import { setParams } from "../lib/route.js";
import { Badge, Button, Card, Confirm, Note, Page, Problem, Progress, Select, Table, toast } from "../ui/index.js";

const TONES = { done: "good", running: "info", queued: "", failed: "bad", cancelled: "warn" };
const OVER = ["done", "failed", "cancelled"];

export default function Jobs({ params }) {
  const pages = usePages("/v1/jobs", { kind: params.kind, state: params.state, limit: 25 }, "jobs");
  const [news, setNews] = useState(new Map());
  const [ending, setEnding] = useState(null);
  const [open, setOpen] = useState(null);
  const known = useRef("");
  useStream("/v1/live", { topics: ["jobs"] }, (_, { jobs }) => {
    setNews(new Map(jobs.map((job) => [job.job_id, job])));
    const ids = jobs.map(({ job_id, state }) => `${job_id}${state}`).join();
    if (known.current && known.current !== ids) pages.reload();
    known.current = ids;
  });
  const rows = pages.rows.map((job) => news.get(job.job_id) ?? job);
  const why = may("models") ? null : "This key may not end jobs: it lacks the scope models";
  const end = async () => {
    await post(`/v1/jobs/${encodeURIComponent(ending.job_id)}:cancel`);
    toast("The job ends within a second or two");
    pages.reload();
  };
  const shown = open && rows.find(({ job_id }) => job_id === open);
  return html`<${Page} title="Jobs" lead="Long work in the background; nothing of it halts an answer.">
    <${Card} label="Jobs">
      <div class="stack">
        <div class="row">
          <${Select} label="Kind" value=${params.kind ?? ""} options=${[["", "all kinds"], "train", "describe", "erase"]} onChange=${(kind) => setParams({ kind })} style=${{ width: "auto" }} />
          <${Select} label="State" value=${params.state ?? ""} options=${[["", "all states"], "queued", "running", "done", "failed", "cancelled"]} onChange=${(state) => setParams({ state })} style=${{ width: "auto" }} />
        </div>
        ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
        <${Table} caption="Jobs, newest first" rows=${rows} rowKey=${(job) => job.job_id} more=${pages.more} onMore=${pages.next} loading=${pages.loading} empty="No such job" onRow=${(job) => setOpen(job.job_id)} selected=${(job) => job.job_id === open}
          columns=${[
            { key: "what", label: "Job", render: (job) => `${job.kind} ${job.detail.name ?? ""}` },
            { key: "state", label: "State", render: (job) => html`<${Badge} tone=${TONES[job.state]}>${job.state}<//>` },
            { key: "progress", label: "Progress", width: "140px", render: (job) => (job.state === "running" ? html`<${Progress} value=${job.progress} label=${`Progress of ${job.job_id}`} />` : OVER.includes(job.state) ? "–" : "waits") },
            { key: "created", label: "Asked for", render: (job) => html`<span title=${when(job.created)}>${ago(job.created)}</span>` },
            { key: "took", label: "Took", align: "number", render: (job) => (OVER.includes(job.state) ? duration((new Date(job.updated) - new Date(job.created)) / 1000) : "–") },
            { key: "end", label: "", align: "number", render: (job) => (OVER.includes(job.state) || job.kind !== "train" ? "" : html`<${Button} small kind="danger" why=${why} onClick=${() => setEnding(job)} label=${`End ${job.job_id}`}>End<//>`) },
          ]} />
      </div>
    <//>
    ${shown && html`<${Card} title=${shown.job_id} id="job"><div class="stack">
      ${shown.detail.error && html`<${Note} tone="bad">${shown.detail.error}<//>`}
      <pre tabindex="0">${JSON.stringify(shown.detail, null, 2)}</pre>
    </div><//>`}
    <${Confirm} title="End this job?" open=${Boolean(ending)} danger action="End it" onConfirm=${end} onClose=${() => setEnding(null)}>
      <p>The training of <strong>${ending?.detail.name}</strong> ends, and what it learned so far is thrown away. The version in use stays.</p>
    <//>
  <//>`;
}
