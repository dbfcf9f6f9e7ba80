import { category, onTheme, resolved } from "../lib/colours.js";
import { number, short, when } from "../lib/format.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import UPlot from "../vendor/uplot.js";

/**
 * Lines over x. series: [{label, values, color, fill, format, dash, gaps}], x: numbers, or epoch seconds with `time`; null is a gap, which a line with `gaps` goes over.
 * `bands`: [{low, high, of}] are values around the series `of`. `format` makes the words of y, `unit` stands at the axis. With `log` y is
 * logarithmic, else it begins at zero unless `free`. `caption` names the chart; its numbers are in a table for screen readers.
 */
export function Chart({ series, x, unit = "", format = number, height = 220, time, bands = [], log, free, caption, xLabel = "" }) {
  const place = useRef(null);
  const plot = useRef(null);
  const [theme, setTheme] = useState(0);
  const data = useMemo(() => [x, ...series.map(({ values }) => values), ...bands.flatMap(({ low, high }) => [high, low])], [x, series, bands]);
  const shape = JSON.stringify([series.map(({ label, color, dash, fill }) => [label, color, dash, fill]), bands.length, height, unit, time, log, free, theme]);
  useEffect(() => onTheme(() => setTheme((count) => count + 1)), []);
  useEffect(() => {
    const [text, edge] = [resolved("--quiet"), resolved("--edge")];
    const axis = { stroke: text, grid: { stroke: edge, width: 1 }, ticks: { stroke: edge, width: 1 }, font: "12px system-ui, sans-serif" };
    const colour = (one, at) => resolved(one.color ?? category(at));
    const options = {
      width: Math.max(place.current.clientWidth, 120),
      height,
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      legend: { live: true },
      scales: { x: { time: Boolean(time) }, y: log ? { distr: 3 } : { range: (_, low, high) => range(low, high, free) } },
      axes: [
        { ...axis, label: xLabel || undefined, labelSize: 18, labelFont: axis.font, values: time ? CLOCK : (_, ticks) => ticks.map((tick) => short(tick)) },
        { ...axis, size: 58, label: unit || undefined, labelSize: 18, labelFont: axis.font, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : unit ? short(tick) : format(tick))) },
      ],
      series: [
        { label: xLabel || (time ? "time" : "x"), value: (_, value) => (value === null ? "–" : time ? when(value) : number(value)) },
        ...series.map((one, at) => ({
          label: one.label,
          stroke: colour(one, at),
          width: 2,
          dash: one.dash,
          fill: one.fill ? faint(colour(one, at)) : undefined,
          points: { show: one.values.length < 2 ? true : undefined },
          spanGaps: Boolean(one.gaps),
          value: (_, value) => (value === null || value === undefined ? "–" : (one.format ?? format)(value)),
        })),
        ...bands.flatMap(() => [
          { label: "high", show: true, stroke: "transparent", points: { show: false }, class: "band" },
          { label: "low", show: true, stroke: "transparent", points: { show: false }, class: "band" },
        ]),
      ],
      bands: bands.map(({ of }, at) => ({ series: [1 + series.length + 2 * at, 2 + series.length + 2 * at], fill: faint(colour(series[of], of)) })),
    };
    plot.current = new UPlot(options, data, place.current);
    for (const row of place.current.querySelectorAll(".u-series.band")) row.hidden = true;
    const watch = new ResizeObserver(() => plot.current.setSize({ width: Math.max(place.current.clientWidth, 120), height }));
    watch.observe(place.current);
    return () => {
      watch.disconnect();
      plot.current.destroy();
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [data]);
  return html`<figure class="chart">
    <div ref=${place} aria-hidden="true"></div>
    <${Numbers} caption=${caption ?? series.map(({ label }) => label).join(", ")} x=${x} series=${series} format=${format} time=${time} />
  </figure>`;
}

/** Words of times on an axis, for steps of a year down to a second. */
const CLOCK = [
  [31536000, "{YYYY}", null, null, null, null, null, null, 1],
  [2419200, "{MMM} {YYYY}", null, null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

function range(low, high, free) {
  if (low === null || !Number.isFinite(low)) return [0, 1];
  const margin = (high - low || Math.abs(high) || 1) * 0.08;
  if (free) return [low - margin, high + margin];
  return [Math.min(0, low - (low < 0 ? margin : 0)), Math.max(high, 0) + margin];
}

const faint = (colour) => colour.replace(/^rgb\((.*)\)$/, (_, inner) => `rgb(${inner.replaceAll(",", " ")} / 16%)`);

/** At most sixty rows of the numbers, for who cannot see the lines. */
function Numbers({ caption, x, series, format, time }) {
  const step = Math.max(1, Math.ceil(x.length / 60));
  const rows = x.map((_, at) => at).filter((at) => at % step === 0 || at === x.length - 1);
  return html`<div class="visually-hidden"><table>
    <caption>${caption}</caption>
    <thead><tr><th scope="col">${time ? "time" : "x"}</th>${series.map(({ label }) => html`<th key=${label} scope="col">${label}</th>`)}</tr></thead>
    <tbody>
      ${rows.map((at) => html`<tr key=${at}><td>${time ? when(x[at]) : number(x[at])}</td>${series.map((one) => html`<td key=${one.label}>${(one.format ?? format)(one.values[at])}</td>`)}</tr>`)}
    </tbody>
  </table></div>`;
}
