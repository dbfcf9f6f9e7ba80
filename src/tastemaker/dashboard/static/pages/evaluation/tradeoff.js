// One metric against another: accuracy against coverage, novelty, diversity, popularity.
import { html } from "../../lib/html.js";
import { number } from "../../lib/format.js";
import { setParams } from "../../lib/route.js";
import { Card, Field, Scatter, Select, Table } from "../../ui/index.js";
import { LOWER, base, label } from "./words.js";

/** Marks the points that no other beats on one axis without losing on the other. */
export function front(points, x, y) {
  const signed = (value, name) => (LOWER.has(base(name)) ? -value : value);
  const at = points.map((one) => [signed(one.x, x), signed(one.y, y)]);
  return points.map((one, place) => ({ ...one, marked: !at.some(([a, b], other) => other !== place && a >= at[place][0] && b >= at[place][1] && (a > at[place][0] || b > at[place][1])) }));
}

export function Tradeoff({ report, params }) {
  const names = [...new Set(report.figures.map((one) => one.name))];
  const metrics = [...new Set(report.figures.map((one) => one.metric))];
  const beyond = [...new Set(Object.values(report.beyond).flatMap(Object.keys))];
  const known = [...metrics, ...beyond];
  if (!beyond.length) return null;
  const y = known.includes(params.y) ? params.y : metrics[0];
  const x = known.includes(params.x) ? params.x : beyond[0];
  const value = (name, metric) => report.figures.find((one) => one.name === name && one.metric === metric) ?? { value: report.beyond[name]?.[metric] ?? NaN };
  const points = front(
    names.map((name) => {
      const [a, b] = [value(name, x), value(name, y)];
      return { label: name, x: a.value, y: b.value, xLow: a.low, xHigh: a.high, yLow: b.low, yHigh: b.high };
    }).filter((one) => Number.isFinite(one.x) && Number.isFinite(one.y)), x, y);
  const options = known.map((name) => [name, label(name)]);
  return html`<${Card} title="One against the other" id="tradeoff" note="A ring marks what no other beats on one axis without losing on the other (the Pareto front). Crosses are intervals, where they are known.">
    <div class="stack">
      <div class="grid" style=${{ "--least": "180px" }}>
        <${Field} label="Across"><${Select} value=${x} options=${options} onChange=${(to) => setParams({ x: to })} /><//>
        <${Field} label="Up"><${Select} value=${y} options=${options} onChange=${(to) => setParams({ y: to })} /><//>
      </div>
      <${Scatter} points=${points} xAxis=${{ label: label(x), format: number }} yAxis=${{ label: label(y), format: number }} caption=${`${label(y)} against ${label(x)}`} />
      <details><summary>As a table</summary><${Table} caption=${`${label(y)} and ${label(x)}`} rows=${points} rowKey=${(row) => row.label} columns=${[
        { key: "label", label: "Of" },
        { key: "x", label: label(x), align: "number", render: (row) => number(row.x) },
        { key: "y", label: label(y), align: "number", render: (row) => number(row.y) },
        { key: "marked", label: "On the front", render: (row) => (row.marked ? "yes" : "no") },
      ]} /></details>
    </div>
  <//>`;
}
