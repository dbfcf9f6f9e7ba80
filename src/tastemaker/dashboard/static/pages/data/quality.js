// The report of `tastemaker data describe` on the store: what is in it and what is wrong with it.
import { may, post } from "../../lib/api.js";
import { useLoad } from "../../lib/data.js";
import { ago, number, plural, share } from "../../lib/format.js";
import { html, useEffect, useMemo } from "../../lib/html.js";
import { Badge, Bars, Button, Card, Chart, Empty, Loading, Problem, Progress, Table } from "../../ui/index.js";

const TONES = { error: "bad", warning: "warn", note: "info" };

export function Quality() {
  const { data, error, reload } = useLoad("/v1/data/quality");
  const job = useLoad(data?.job_id ? `/v1/jobs/${data.job_id}` : null, undefined, { every: 1 });
  const over = ["done", "failed", "cancelled"].includes(job.data?.state);
  useEffect(() => {
    if (over) reload();
  }, [over]);
  const why = may("models") ? null : "This key may not ask for a report: it lacks the scope models";
  const make = async () => {
    await post("/v1/data:describe");
    await reload();
  };
  const busy = data?.job_id ? "A report is being made" : null;
  const actions = html`<${Button} kind=${data?.report ? "" : "primary"} why=${why ?? busy} onClick=${make}>${data?.report ? "Make it again" : "Make the report"}<//>`;
  const note = data?.made ? `Made ${ago(data.made)}; ${plural(data.events_since, "event")} came since.` : "";
  return html`<${Card} title="Quality" note=${note} actions=${actions} id="quality">
    <div class="stack">
      ${error && html`<${Problem} error=${error} retry=${reload} />`} ${!data && !error && html`<${Loading} />`}
      ${data?.job_id && html`<${Progress} value=${job.data?.progress ?? 0} label="Progress of the report" />`}
      ${job.data?.state === "failed" && html`<${Problem} error=${{ title: "The report failed", detail: job.data.detail.error }} />`}
      ${data && !data.report && !data.job_id && html`<${Empty} title="No report yet"><p>It looks at all events of the store: duplicates, equal times, bots, what is cold, what leaks between training and test. It runs beside the service.</p><//>`}
      ${data?.report && html`<${Report} report=${data.report} plots=${data.plots} />`}
    </div>
  <//>`;
}

function Report({ report, plots }) {
  const months = plots.over_time[0]?.label.length === 7;
  const x = useMemo(() => plots.over_time.map(({ label }) => Date.parse(label) / 1000), [plots]);
  const series = useMemo(() => [{ label: "events", values: plots.over_time.map(({ count }) => count) }], [plots]);
  const facts = [
    ["Events", number(report.interactions)],
    ["Users", number(report.users)],
    ["Items", number(report.items)],
    ["Density", share(report.density, 3)],
    ["Exact duplicates", number(report.duplicates)],
    ["Had before", number(report.repeats)],
    ["At equal times", share(report.times?.tied_share)],
    ["From", report.times?.first?.slice(0, 10) ?? "–"],
    ["To", report.times?.last?.slice(0, 10) ?? "–"],
  ];
  const bars = (rows) => rows.map(({ label, count }) => ({ label, value: count }));
  const kinds = Object.entries(report.kinds).map(([label, value]) => ({ label, value }));
  return html`<div class="stack" data-part="report">
    <dl class="grid" style=${{ "--least": "120px", gap: "var(--s3)" }}>${facts.map(([label, value]) => html`<div key=${label}><dt class="small quiet">${label}</dt><dd class="strong">${value}</dd></div>`)}</dl>
    <h3>Findings</h3>
    <${Table} caption="Findings, the gravest first" rows=${report.problems} rowKey=${(row) => row.code} empty="Nothing is wrong with it" columns=${[
      { key: "severity", label: "How grave", render: (row) => html`<${Badge} tone=${TONES[row.severity]}>${row.severity}<//>` },
      { key: "message", label: "What" },
      { key: "remedy", label: "What to do" },
    ]} />
    <div class="grid" style=${{ "--least": "300px" }}>
      <section class="stack tight"><h3>Users by number of events</h3><${Bars} rows=${bars(plots.per_user)} label="Users by number of events" /></section>
      <section class="stack tight"><h3>Items by number of events</h3><${Bars} rows=${bars(plots.per_item)} label="Items by number of events" /></section>
      ${kinds.length > 1 && html`<section class="stack tight"><h3>Events by kind</h3><${Bars} rows=${kinds} label="Events by kind" /></section>`}
    </div>
    <section class="stack tight"><h3>Events by ${months ? "month" : "day"}</h3><${Chart} x=${x} time series=${series} unit=${months ? "events / month" : "events / day"} caption="Events over time" /></section>
  </div>`;
}
