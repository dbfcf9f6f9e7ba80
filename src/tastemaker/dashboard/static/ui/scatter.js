import { category } from "../lib/colours.js";
import { number } from "../lib/format.js";
import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";

const LEFT = 64;
const BOTTOM = 44;

/**
 * Points with names, for some dozens: {label, x, y, xLow, xHigh, yLow, yHigh, color, marked, note}. Intervals are drawn as a cross, `marked`
 * ones have a ring. Axes: {label, format}. The same numbers are in a table for screen readers.
 */
export function Scatter({ points, xAxis, yAxis, height = 320, caption, onPoint, line }) {
  const place = useRef(null);
  const [width, setWidth] = useState(600);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(entry.contentRect.width, 240)));
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  const known = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  const xs = scale(known.flatMap(({ x, xLow, xHigh }) => [x, xLow, xHigh]), LEFT, width - 16);
  const ys = scale(known.flatMap(({ y, yLow, yHigh }) => [y, yLow, yHigh]), height - BOTTOM, 14);
  const words = { x: xAxis.format ?? number, y: yAxis.format ?? number };
  return html`<figure class="chart" ref=${place}>
    <svg viewBox=${`0 0 ${width} ${height}`} height=${height} role="img" aria-label=${caption}>
      ${xs.ticks.map((tick) => html`<g key=${`x${tick}`}><line x1=${xs.at(tick)} x2=${xs.at(tick)} y1="14" y2=${height - BOTTOM} stroke="var(--edge)" /><text x=${xs.at(tick)} y=${height - BOTTOM + 16} text-anchor="middle" font-size="12" fill="var(--quiet)">${words.x(tick)}</text></g>`)}
      ${ys.ticks.map((tick) => html`<g key=${`y${tick}`}><line x1=${LEFT} x2=${width - 16} y1=${ys.at(tick)} y2=${ys.at(tick)} stroke="var(--edge)" /><text x=${LEFT - 8} y=${ys.at(tick) + 4} text-anchor="end" font-size="12" fill="var(--quiet)">${words.y(tick)}</text></g>`)}
      <text x=${(LEFT + width) / 2} y=${height - 6} text-anchor="middle" font-size="12" fill="var(--text)">${xAxis.label}</text>
      <text x="14" y=${(height - BOTTOM) / 2} text-anchor="middle" font-size="12" fill="var(--text)" transform=${`rotate(-90 14 ${(height - BOTTOM) / 2})`}>${yAxis.label}</text>
      ${line && html`<polyline points=${line.map(({ x, y }) => `${xs.at(x)},${ys.at(y)}`).join(" ")} fill="none" stroke="var(--edge-strong)" stroke-dasharray="4 4" />`}
      ${known.map((point, at) => html`<${Point} key=${point.label} point=${point} at=${at} xs=${xs} ys=${ys} words=${words} width=${width} onPoint=${onPoint} />`)}
    </svg>
    <div class="visually-hidden"><table>
      <caption>${caption}</caption>
      <thead><tr><th scope="col">name</th><th scope="col">${xAxis.label}</th><th scope="col">${yAxis.label}</th></tr></thead>
      <tbody>${known.map((point) => html`<tr key=${point.label}><td>${point.label}</td><td>${words.x(point.x)}</td><td>${words.y(point.y)}</td></tr>`)}</tbody>
    </table></div>
  </figure>`;
}

function Point({ point, at, xs, ys, words, width, onPoint }) {
  const [x, y] = [xs.at(point.x), ys.at(point.y)];
  const colour = point.color ?? category(at);
  const cross = (low, high) => Number.isFinite(low) && Number.isFinite(high);
  const right = x > width - 120;
  return html`<g onClick=${onPoint ? () => onPoint(point) : undefined} style=${onPoint ? { cursor: "pointer" } : undefined}>
    <title>${`${point.label}: ${words.x(point.x)}, ${words.y(point.y)}${point.note ? ` – ${point.note}` : ""}`}</title>
    ${cross(point.xLow, point.xHigh) && html`<line x1=${xs.at(point.xLow)} x2=${xs.at(point.xHigh)} y1=${y} y2=${y} stroke=${colour} stroke-opacity="0.6" />`}
    ${cross(point.yLow, point.yHigh) && html`<line x1=${x} x2=${x} y1=${ys.at(point.yLow)} y2=${ys.at(point.yHigh)} stroke=${colour} stroke-opacity="0.6" />`}
    ${point.marked && html`<circle cx=${x} cy=${y} r="9" fill="none" stroke=${colour} stroke-width="1.5" />`}
    <circle cx=${x} cy=${y} r="5" fill=${colour} />
    <text x=${right ? x - 10 : x + 10} y=${y - 8} text-anchor=${right ? "end" : "start"} font-size="12" fill="var(--text)">${point.label}</text>
  </g>`;
}

/** Round ticks over what is there, with a margin, and where a value lies between two places. */
function scale(values, from, to) {
  const known = values.filter(Number.isFinite);
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const margin = (high - low || Math.abs(high) || 1) * 0.08;
  [low, high] = [low >= 0 && low - margin < 0 ? 0 : low - margin, high + margin];
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(Number(tick.toPrecision(12)));
  return { ticks, at: (value) => from + ((value - low) / (high - low)) * (to - from) };
}
