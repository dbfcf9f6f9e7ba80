// How the service does and what it earns, on one page that keeps up by itself.
import { useLoad, useStream } from "../lib/data.js";
import { ago, interval, ms, number, plural, share } from "../lib/format.js";
import { html, useMemo, useState } from "../lib/html.js";
import { href, setParams } from "../lib/route.js";
import { Badge, Bars, Card, Chart, Empty, Loading, Note, Page, Problem, Select, Spark, Stat, Table, Tip } from "../ui/index.js";

const WINDOWS = [
  [1, "the last day"],
  [7, "the last 7 days"],
  [30, "the last 30 days"],
  [60, "the last 60 days"],
];
const HEALTH = { good: "All is well", warn: "Something wants a look", bad: "Something is wrong" };

export default function Overview({ params }) {
  const days = Number(params.days ?? 30);
  const { data, error, reload } = useLoad("/v1/overview", { days }, { every: 5 });
  const [beats, setBeats] = useState([]);
  const live = useStream("/v1/live", { topics: ["pulse"] }, (_, pulse) => setBeats((before) => [...before.slice(-599), pulse]));
  const series = useMemo(() => (data ? joined(data.series, beats) : null), [data, beats]);
  if (error && !data) return html`<${Page} title="Overview"><${Problem} error=${error} retry=${reload} /><//>`;
  if (!data) return html`<${Page} title="Overview"><${Loading} rows=${8} /><//>`;
  const pulse = beats.at(-1) ?? data.pulse;
  const windows = html`<${Select} label="Outcomes of" value=${days} options=${WINDOWS} onChange=${(value) => setParams({ days: value })} />`;
  return html`<${Page} title="Overview" lead="How the recommender does and what it earns." actions=${windows}>
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    <${Health} data=${data} live=${live} />
    ${data.events === 0 && html`<${Card} title="Begin here"><${FirstEvent} /><//>`}
    <div class="grid" data-part="tiles" style=${{ "--least": "min(200px, 40vw)" }}>
      <${Stat} label="Requests" value=${`${number(pulse.requests_per_second, 1)} /s`} note=${pulse.failed_per_second ? `${number(pulse.failed_per_second, 2)} /s failed` : "none failed"}>
        <${Spark} values=${series.requests} /><//>
      <${Stat} label="Half of the lists within" term="p50" value=${ms(pulse.p50_ms)} note=${`95 %: ${ms(pulse.p95_ms)} · 99 %: ${ms(pulse.p99_ms)}`}>
        <${Spark} values=${series.p99} /><//>
      <${Stat} label="Events" value=${`${number(pulse.events_per_second, 1)} /s`} note=${pulse.rejected_per_second ? `${number(pulse.rejected_per_second, 2)} /s rejected` : "none rejected"}>
        <${Spark} values=${series.events} /><//>
      <${Stat} label="Click-through" term="click-through" ...${rate(data.click_through)} />
      <${Stat} label="Conversion" term="conversion" ...${rate(data.conversion)} />
      <${Stat} label="Catalogue shown" term="coverage" value=${share(data.catalogue.share)} note=${`${number(data.catalogue.shown)} of ${plural(data.catalogue.available, "item")}`} />
      <${Stat} label="Fallback" term="fallback" value=${share(pulse.fallback)} note=${html`of lists, last minute · <span data-part="degraded">${share(pulse.degraded)}</span> degraded <${Tip} term="degraded" />`} />
      <${Stat} label="Model in use" value=${data.model.name ? `${data.model.name} ${data.model.version || ""}` : "none"} note=${data.model.created ? `made ${ago(data.model.created)}` : "everybody gets what is popular"} />
    </div>
    <div class="grid" style=${{ "--least": "380px" }}>
      <${Card} title="Time of a list" note="The last ten minutes, each point over ten seconds or the last minute.">
        <${Chart} x=${series.time} time unit="ms" format=${ms} caption="Time of a list in ms" series=${[
          { label: "50 %", values: series.p50 },
          { label: "95 %", values: series.p95 },
          { label: "99 %", values: series.p99 },
        ]} />
      <//>
      <${Card} title="Requests and events" note="The last ten minutes, a second.">
        <${Chart} x=${series.time} time unit="/s" format=${(value) => `${number(value, 1)} /s`} caption="Requests and events a second" series=${[
          { label: "requests", values: series.requests },
          { label: "events", values: series.events },
          { label: "rejected", values: series.rejected, color: "var(--bad)" },
        ]} />
      <//>
    </div>
    <${Outcomes} data=${data} />
  <//>`;
}

const rate = (one) => ({
  value: share(one.value),
  interval: one.value === null ? "no answers yet" : `${interval(one.low, one.high, share)}`,
  note: one.of ? `of ${plural(one.of, "list")}` : "",
});

function Health({ data, live }) {
  return html`<${Card} label="Health">
    <div class="row apart">
      <div class="row"><${Badge} tone=${data.health}>${HEALTH[data.health]}<//>${data.alerts.length === 0 && html`<span class="quiet">Nothing needs you at the moment.</span>`}</div>
      <span class="small quiet">${live ? "live" : "connecting…"}</span>
    </div>
    ${data.alerts.length > 0 &&
    html`<ul class="stack tight" style=${{ marginTop: "var(--s3)" }} data-part="alerts">
      ${data.alerts.map(
        (alert) =>
          html`<li key=${alert.code}><${Note} tone=${alert.severity}><strong>${alert.text}</strong> ${alert.hint}${" "}<a href=${href(alert.page)}>Look there</a><//></li>`,
      )}
    </ul>`}
  <//>`;
}

function Outcomes({ data }) {
  if (!data.by_day.length) {
    return html`<${Card} title="Outcomes">
      <${Empty} title="No list was given yet">
        <p>Ask for lists with <code>POST /v1/recommendations</code>, and send events with the <code>recommendation_id</code> of the answer: then clicks and purchases are counted here.</p>
        <a class="button" href="#/shopfront">Try it in the shopfront</a>
      <//>
    <//>`;
  }
  const day = data.by_day.map(({ name }) => Date.parse(name) / 1000);
  const of = (field, end) => data.by_day.map((one) => one[field][end]);
  const note = `Lists given, and what came of them, since ${data.counted_since?.slice(0, 10)}; bands are 95 % intervals. Counted ${ago(data.counted_at)}.`;
  const columns = [
    { key: "name", label: "Answered by" },
    { key: "answers", label: "Lists", align: "number", render: (row) => number(row.answers) },
    { key: "ctr", label: "Click-through", align: "number", tip: "click-through", render: (row) => html`<${Rate} of=${row.click_through} />` },
    { key: "cvr", label: "Conversion", align: "number", tip: "conversion", render: (row) => html`<${Rate} of=${row.conversion} />` },
  ];
  const bars = data.by_model.map((one) => ({ label: one.name, ...one.click_through }));
  return html`<div class="grid" style=${{ "--least": "380px" }}>
    <${Card} title="Outcomes by day" note=${note}>
      ${day.length < 3 ? html`<${Bars} rows=${data.by_day.flatMap((one) => [{ key: `${one.name}t`, label: `${one.name} click-through`, ...one.click_through }, { key: `${one.name}c`, label: `${one.name} conversion`, color: "var(--c2)", ...one.conversion }])} format=${share} label="Outcomes by day" />` : html`<${Chart} x=${day} time format=${share} caption="Outcomes by day" series=${[
        { label: "click-through", values: of("click_through", "value") },
        { label: "conversion", values: of("conversion", "value") },
      ]} bands=${[
        { of: 0, low: of("click_through", "low"), high: of("click_through", "high") },
        { of: 1, low: of("conversion", "low"), high: of("conversion", "high") },
      ]} />`}
    <//>
    <${Card} title="Outcomes by model" note="Click-through with its 95 % interval: where intervals overlap much, neither is shown to be better.">
      <div class="stack">
        <${Bars} rows=${bars} format=${share} label="Click-through by model" />
        <${Table} caption="Outcomes by model" columns=${columns} rows=${data.by_model} rowKey=${(row) => row.name} />
      </div>
    <//>
  </div>`;
}

const Rate = ({ of }) => html`${share(of.value)}<div class="small quiet">${interval(of.low, of.high, share)}</div>`;

function FirstEvent() {
  const line = `curl ${location.origin}/v1/events -H 'Content-Type: application/json' -d '{"events":[{"user_id":"me","item_id":"first"}]}'`;
  return html`<${Empty} title="No event has come in yet">
    <p>Import a store with <code>tastemaker store import</code>, or send the first event:</p>
    <pre>${line}</pre>
  <//>`;
}

/** The series of the service, with the beats heard since behind it. */
function joined(series, beats) {
  const last = series.time.at(-1) ?? 0;
  const later = beats.filter((beat) => beat.time > last && Math.floor(beat.time) % 5 === 0); // the same ones each time it is drawn
  const withBeats = (values, field) => [...values, ...later.map((beat) => beat[field])];
  return {
    time: withBeats(series.time, "time"),
    requests: withBeats(series.requests_per_second, "requests_per_second"),
    events: withBeats(series.events_per_second, "events_per_second"),
    rejected: withBeats(series.rejected_per_second, "rejected_per_second"),
    p50: withBeats(series.p50_ms, "p50_ms"),
    p95: withBeats(series.p95_ms, "p95_ms"),
    p99: withBeats(series.p99_ms, "p99_ms"),
  };
}
