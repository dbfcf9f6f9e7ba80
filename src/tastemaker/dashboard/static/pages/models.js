// Versions: which is in use, where each comes from, how its training went, what the gate said; and what may be done.
import { may, post } from "../lib/api.js";
import { useLoad, useStream } from "../lib/data.js";
import { ago, number } from "../lib/format.js";
import { html, useState } from "../lib/html.js";
import { setParams } from "../lib/route.js";
import { Badge, Button, Card, Confirm, Empty, Loading, Page, Problem, Progress, Table, toast } from "../ui/index.js";
import { Curves } from "./models/curves.js";
import { Version } from "./models/version.js";
import { Schedules } from "./models/schedules.js";
import { TrainDialog } from "./models/train.js";

const TONES = { promoted: "good", candidate: "info", refused: "bad", retired: "" };
const STATES = { promoted: "in use", candidate: "candidate", refused: "refused", retired: "retired" };
export const NEEDS = "This key may not change models: it lacks the scope models";

export default function Models({ params }) {
  const { data, error, reload } = useLoad("/v1/models");
  const [jobs, setJobs] = useState([]);
  const [training, setTraining] = useState(false);
  const [back, setBack] = useState(false);
  useStream("/v1/live", { topics: ["jobs", "model"] }, (name, news) => {
    if (name === "jobs") setJobs(news.jobs.filter(({ kind, state }) => kind === "train" && (state === "queued" || state === "running")));
    reload();
  });
  const why = may("models") ? null : NEEDS;
  if (error && !data) return html`<${Page} title="Models"><${Problem} error=${error} retry=${reload} /><//>`;
  if (!data) return html`<${Page} title="Models"><${Loading} rows=${6} /><//>`;
  const [name, version] = (params.version ?? "").split("/");
  const chosen = data.models.find((one) => one.name === name && String(one.version) === version) ?? data.promoted ?? data.models[0];
  const earlier = data.promoted?.facts.replaced;
  const noBack = why ?? (earlier ? null : "No version was in use before this one");
  const rollBack = async () => {
    const now = await post("/v1/models:rollback");
    toast(`${now.name} ${now.version} is in use again`);
    await reload();
  };
  const actions = html`<${Button} why=${noBack} onClick=${() => setBack(true)}>Roll back<//><${Button} kind="primary" why=${why} onClick=${() => setTraining(true)}>Train a new version<//>`;
  return html`<${Page} title="Models" lead="Every version that was trained: where it comes from, what the gate said of it, and which one answers." actions=${actions}>
    ${jobs.map((job) => html`<${Training} key=${job.job_id} job=${job} />`)}
    <${Card} title="Versions">
      <${Table}
        caption="Versions, newest first"
        rows=${data.models}
        rowKey=${(row) => `${row.name}/${row.version}`}
        onRow=${(row) => setParams({ version: `${row.name}/${row.version}` }, { step: true })}
        selected=${(row) => chosen && row.name === chosen.name && row.version === chosen.version}
        empty=${html`<${Empty} title="No version yet"><p>Train one here, or take in a model that was trained elsewhere:</p><pre>tastemaker versions add runs/RUN/artifact NAME --store STORE</pre><//>`}
        columns=${[
          { key: "name", label: "Version", render: (row) => `${row.name} ${row.version}` },
          { key: "state", label: "State", render: (row) => html`<${Badge} tone=${TONES[row.state]}>${STATES[row.state] ?? row.state}<//>` },
          { key: "created", label: "Made", render: (row) => ago(row.created) },
          { key: "validation", label: "On validation", align: "number", render: (row) => headline(row.facts.metrics?.validation) },
          { key: "test", label: "On test", align: "number", render: (row) => headline(row.facts.metrics?.test) },
          { key: "gate", label: "Gate", tip: "gate", render: (row) => verdict(row.facts.gate) },
        ]}
      />
    <//>
    ${chosen && html`<${Version} key=${`${chosen.name}/${chosen.version}/${chosen.state}`} model=${chosen} onChange=${reload} />`}
    ${data.models.length > 1 && html`<${Curves} models=${data.models} />`}
    <${Schedules} names=${[...new Set(data.models.map((one) => one.name))]} />
    <${TrainDialog} open=${training} onClose=${() => setTraining(false)} models=${data.models} />
    <${Confirm} title="Roll back?" open=${back} danger action="Roll back" onConfirm=${rollBack} onClose=${() => setBack(false)}>
      <p>${data.promoted?.name} ${data.promoted?.version} goes out of use, and <strong>${earlier?.name} ${earlier?.version}</strong> answers again, from the next request on. No request fails.</p>
    <//>
  <//>`;
}

/** A training under way. */
function Training({ job }) {
  const { phase, epoch, epochs, loss, best_metric: best } = job.detail;
  const { data } = useLoad(`/v1/jobs/${job.job_id}/records`, undefined, { every: 1 });
  const words = job.state === "queued" ? "waits for its turn" : `${phase ?? "starting"}${epoch ? `, epoch ${epoch} of ${epochs}` : ""}`;
  return html`<${Card} title=${`Training ${job.detail.name}`} note=${`${words}${loss ? ` · loss ${number(loss)}` : ""}${best ? ` · best on validation ${number(best)}` : ""}`}>
    <div class="stack tight" data-job=${job.job_id}>
      <${Progress} value=${job.progress} label=${`Training of ${job.detail.name}`} />
      ${data && data.steps.length + data.epochs.length > 1 && html`<${Curves.One} curve=${data} />`}
      <p class="small"><a href="#/jobs">All jobs</a></p>
    </div>
  <//>`;
}

function headline(metrics) {
  const [name, value] = Object.entries(metrics ?? {})[0] ?? [];
  return name ? html`${number(value)} <span class="small quiet">${name}</span>` : "–";
}

function verdict(gate) {
  if (!gate) return html`<span class="quiet">not asked</span>`;
  return gate.passed ? html`<${Badge} tone="good">passed<//>` : html`<${Badge} tone="bad">refused<//>`;
}

