// How good a run's lists are: against baselines, by segment, beside what else lists do, and beside other runs.
import { useLoad, usePages } from "../lib/data.js";
import { ago, duration, interval, number, plural, share } from "../lib/format.js";
import { html } from "../lib/html.js";
import { href, setParams } from "../lib/route.js";
import { Badge, Bars, Button, Card, Empty, Field, Input, Loading, Note, Page, Problem, Select, Table } from "../ui/index.js";
import { Compared } from "./evaluation/compare.js";
import { saveCsv, saveJson } from "./evaluation/save.js";
import { Tradeoff } from "./evaluation/tradeoff.js";
import { Metric, P, VERDICT, label } from "./evaluation/words.js";

const STATUSES = [["", "any"], "finished", "failed", "running", "unfinished", "removed"];
const MOST = 6;

export default function Evaluation({ params }) {
  const pages = usePages("/v1/runs", { model: params.model, status: params.status, tuning: params.tuning, limit: 50 }, "runs");
  const known = pages.rows.filter((row) => row.told !== "nothing");
  const shown = params.run ?? (known.find((row) => row.in_use) ?? known[0])?.run_id ?? null;
  const { data, error, reload } = useLoad(shown && `/v1/runs/${encodeURIComponent(shown)}`);
  const chosen = (params.compare ?? "").split(",").filter(Boolean).map(decodeURIComponent);
  const choose = (ids) => setParams({ compare: ids.map(encodeURIComponent).join(",") });
  const filtered = params.model || params.status || params.tuning;
  const none = !pages.loading && !pages.error && !pages.rows.length && !filtered;
  return html`<${Page} title="Evaluation" lead="How good the lists of a run are on what it had not seen, beside baselines that are simpler, and whether the difference is more than luck.">
    ${pages.error && html`<${Problem} error=${pages.error} retry=${pages.reload} />`}
    ${none ? html`<${First} />` : html`<${List} pages=${pages} params=${params} shown=${shown} chosen=${chosen} choose=${choose} />`}
    ${chosen.length > 1 && html`<${Compared} ids=${chosen} onClose=${() => choose([])} />`}
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    ${data ? html`<${Report} report=${data} params=${params} />` : shown && !error && html`<${Loading} />`}
  <//>`;
}

function First() {
  return html`<${Card} label="Runs"><${Empty} title="No run yet">
    <p>Train a model on the page <a href=${href("models")}>Models</a>, or from a command line:</p>
    <pre>tastemaker train shop.toml --out runs/first</pre>
    <p>and start the service with <code>tastemaker serve --runs runs</code>. Its report appears here.</p>
  <//><//>`;
}

function List({ pages, params, shown, chosen, choose }) {
  const toggle = (id) => choose(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  const first = (row) => Object.entries(row.metrics)[0];
  return html`<${Card} title="Runs" note=${`Open one, or tick up to ${MOST} to set them side by side.`}>
    <div class="stack">
      <div class="grid" style=${{ "--least": "180px" }}>
        <${Field} label="Model"><${Input} value=${params.model ?? ""} placeholder="sasrec" onChange=${(event) => setParams({ model: event.target.value.trim() })} onInput=${() => {}} /><//>
        <${Field} label="Status"><${Select} value=${params.status ?? ""} options=${STATUSES} onChange=${(status) => setParams({ status })} /><//>
        <${Field} label="Trials of the search"><${Input} value=${params.tuning ?? ""} placeholder="any" onChange=${(event) => setParams({ tuning: event.target.value.trim() })} onInput=${() => {}} /><//>
      </div>
      <${Table} caption="Runs, newest first" rows=${pages.rows} more=${pages.more} onMore=${pages.next} loading=${pages.loading} rowKey=${(row) => row.run_id} selected=${(row) => row.run_id === shown} onRow=${(row) => setParams({ run: row.run_id }, { step: true })} empty="No run like this"
        columns=${[
          { key: "run_id", label: "Run", render: (row) => html`<span style=${{ whiteSpace: "nowrap" }}>${row.run_id.length > 40 ? `${row.run_id.slice(0, 38)}…` : row.run_id}</span>` },
          { key: "compare", label: "Compare", render: (row) => html`<input type="checkbox" aria-label=${`Compare ${row.run_id}`} checked=${chosen.includes(row.run_id)} disabled=${row.told !== "report" || (chosen.length >= MOST && !chosen.includes(row.run_id))} onChange=${() => toggle(row.run_id)} />` },
          { key: "model", label: "Model" },
          { key: "status", label: "Status", render: (row) => html`<${Badge} tone=${{ finished: "good", failed: "bad", running: "info" }[row.status] ?? "warn"}>${row.status}<//>${row.in_use && html` <${Badge} tone="info">in use<//>`}` },
          { key: "metric", label: "Test", align: "number", render: (row) => (first(row) ? `${first(row)[0]} ${number(first(row)[1])}` : "–") },
          { key: "versions", label: "Version", render: (row) => row.versions.map((one) => html`<a key=${one.version} href=${href("models", { version: `${one.name}/${one.version}` })}>${one.name} ${one.version}</a> `) },
          { key: "started", label: "When", render: (row) => ago(row.started) },
        ]} />
    </div>
  <//>`;
}

function Report({ report, params }) {
  const metrics = [...new Set(report.figures.map((one) => one.metric))];
  const actions = html`<${Button} small onClick=${() => saveCsv(report.figures, report.run_id)}>CSV<//><${Button} small onClick=${() => saveJson(report, report.run_id)}>JSON<//>`;
  if (!metrics.length) return html`<${Card} title=${report.run_id}><${Note} tone="warn">${report.error || "Nothing is known of how good it is: its report is not here."}<//><//>`;
  return html`<${Card} title=${report.run_id} id="report" actions=${actions} note=${report.protocol.join(" ")}>
      <div class="stack">
        ${report.told === "manifest" && html`<${Note} tone="warn">The version was added without its run: these are the figures of its manifest, without intervals or baselines.<//>`}
        ${report.notes.map((note) => html`<${Note} key=${note}>${note}<//>`)}
        <div class="grid" style=${{ "--least": "300px" }}>
          ${metrics.map((metric) => html`<${Headline} key=${metric} metric=${metric} figures=${report.figures.filter((one) => one.metric === metric)} model=${report.model} />`)}
        </div>
        <${Figures} report=${report} />
        <p class="small quiet">${[report.users_asked !== null && plural(report.users_asked, "user") + " asked", report.epochs && plural(report.epochs, "epoch"), report.train_seconds !== null && `${duration(report.train_seconds)} of training`, report.chosen_by && `chosen by ${report.chosen_by} on validation (${number(report.validation[report.chosen_by])})`].filter(Boolean).join(" · ")}</p>
      </div>
    <//>
    <${Tradeoff} report=${report} params=${params} />
    <${Segments} report=${report} params=${params} metrics=${metrics} />
    <${Online} report=${report} />`;
}

function Headline({ metric, figures, model }) {
  const rows = figures.map((one) => ({ label: one.name, value: one.value, low: one.low, high: one.high, color: one.role === "model" ? "var(--c1)" : "var(--c0)" }));
  const tested = figures.filter((one) => one.verdict);
  const of = (verdict) => tested.filter((one) => one.verdict === verdict).map((one) => one.name).join(", ");
  const words = [of("worse") && `${model} is significantly better than ${of("worse")}.`, of("better") && `${model} is significantly worse than ${of("better")}.`, of("same") && `Not told apart from ${of("same")}.`];
  return html`<section data-metric=${metric} class="stack tight"><h3><${Metric} name=${metric} /></h3><${Bars} rows=${rows} label=${metric} /><p class="small">${words.filter(Boolean).join(" ")}</p></section>`;
}

function Figures({ report }) {
  return html`<details><summary>All figures and tests</summary><${Table} caption="Figures of the report" rows=${report.figures} rowKey=${(row) => row.metric + row.name}
    columns=${[
      { key: "metric", label: "Metric" },
      { key: "name", label: "Of" },
      { key: "value", label: "Value", align: "number", render: (row) => row.value.toFixed(4) },
      { key: "interval", label: "Interval", align: "number", tip: "interval", render: (row) => (row.low === null ? "–" : interval(row.low, row.high, (one) => one.toFixed(4))) },
      { key: "difference", label: `Against ${report.model}`, align: "number", render: (row) => (row.difference === null ? "–" : `${row.difference > 0 ? "+" : ""}${row.difference.toFixed(4)}`) },
      { key: "p", label: "p", align: "number", tip: "holm", render: (row) => html`<${P} value=${row.p} />` },
      { key: "verdict", label: "Verdict", render: (row) => VERDICT[row.verdict] ?? "" },
    ]} /></details>`;
}

function Segments({ report, params, metrics }) {
  if (!report.segments.length) return null;
  const metric = metrics.includes(params.segment) ? params.segment : metrics[0];
  const of = (row) => row.figures.filter((one) => one.metric === metric);
  const rows = report.segments.filter((row) => of(row).length);
  return html`<${Card} title="By segment" note=${`Where the average hides a difference. Words beside a bar are a test against ${report.model}. Segments with few users or targets say little.`}>
    <div class="stack">
      <div class="grid" style=${{ "--least": "180px" }}><${Field} label="Metric"><${Select} value=${metric} options=${metrics} onChange=${(segment) => setParams({ segment })} /><//></div>
      <${Table} caption=${`${metric} by segment`} rows=${rows} rowKey=${(row) => row.name} empty=${`No segment has ${metric}`} columns=${[
        { key: "name", label: "Segment", render: (row) => row.name.replace("/", ": ").replaceAll("_", " ") },
        { key: "count", label: "Count", align: "number", render: (row) => html`${plural(row.count, row.of.slice(0, -1))}${row.few && html` <${Badge} tone="warn">few<//>`}` },
        { key: "figures", label: metric, render: (row) => html`<div style=${{ minWidth: "320px" }}><${Bars} label=${`${metric}, ${row.name}`} rows=${of(row).map((one) => ({ label: one.name, value: one.value, low: one.low, high: one.high, color: one.role === "model" ? "var(--c1)" : "var(--c0)", note: VERDICT[one.verdict] ?? "" }))} /></div>` },
      ]} />
    </div>
  <//>`;
}

/** Click-through of the versions that came of the run, beside its offline figure. */
function Online({ report }) {
  const { data } = useLoad(report.versions.length ? "/v1/overview" : null);
  const names = report.versions.map((one) => `${one.name}/${one.version}`);
  const rows = (data?.by_model ?? []).filter((one) => names.includes(one.name) && one.answers > 0);
  const metric = report.figures[0]?.metric;
  if (!rows.length || !metric) return null;
  const offline = (one) => report.figures.find((figure) => figure.metric === metric && figure.name === report.figures_of[one.name]);
  return html`<${Card} title="Online beside offline" note="What the lists earned once they were shown. The two need not agree: offline asks for what users found without them.">
    <${Table} caption="Click-through beside the offline figure" rows=${rows} rowKey=${(row) => row.name} columns=${[
      { key: "name", label: "Version" },
      { key: "answers", label: "Answers", align: "number", render: (row) => plural(row.answers, "answer") },
      { key: "online", label: "Click-through", tip: "click-through", align: "number", render: (row) => html`${share(row.click_through.value)} <span class="small quiet">${interval(row.click_through.low, row.click_through.high, share)}</span>` },
      { key: "offline", label: `${label(metric)} offline`, align: "number", render: (row) => (offline(row) ? html`${number(offline(row).value)} <span class="small quiet">${offline(row).low === null ? "" : interval(offline(row).low, offline(row).high, number)}</span>` : "–") },
    ]} />
  <//>`;
}
