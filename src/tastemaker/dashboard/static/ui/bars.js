import { number } from "../lib/format.js";
import { html } from "../lib/html.js";

/**
 * Bars from zero, one a row: {label, value, low, high, color, note}; a whisker from low to high where both are given.
 * `format` makes the words of a value.
 */
export function Bars({ rows, format = number, label, most }) {
  const top = most ?? Math.max(...rows.map(({ value, high }) => Math.max(value ?? 0, high ?? 0)), 1e-12);
  const percent = (value) => `${Math.min(100, Math.max(0, (100 * value) / top))}%`;
  return html`<div class="bars" role="list" aria-label=${label}>
    ${rows.map(
      (row) =>
        html`<div key=${row.key ?? row.label} role="listitem" style=${{ display: "contents" }}>
          <span class="name">${row.label}</span>
          <span class="track" aria-hidden="true">
            <span class="fill" style=${{ width: percent(row.value ?? 0), background: row.color ?? "var(--c1)" }}></span>
            ${Number.isFinite(row.low) && Number.isFinite(row.high) && html`<span class="whisker" style=${{ left: percent(row.low), width: `calc(${percent(row.high)} - ${percent(row.low)})` }}></span>`}
          </span>
          <span class="number small">${format(row.value)}${row.note ? html` <span class="quiet">${row.note}</span>` : ""}</span>
        </div>`,
    )}
  </div>`;
}

/** A line without axes, for a glance beside a number; screen readers leave it out. */
export function Spark({ values, height = 28, color = "var(--c1)" }) {
  const known = values.map((value, at) => [at, value]).filter(([, value]) => Number.isFinite(value));
  if (known.length < 2) return html`<div style=${{ height: `${height}px` }}></div>`;
  const [low, high] = [Math.min(0, ...known.map(([, value]) => value)), Math.max(...known.map(([, value]) => value), 1e-12)];
  const points = known.map(([at, value]) => `${((100 * at) / (values.length - 1)).toFixed(2)},${(height - 2 - ((height - 4) * (value - low)) / (high - low)).toFixed(2)}`);
  return html`<svg viewBox=${`0 0 100 ${height}`} preserveAspectRatio="none" style=${{ width: "100%", height: `${height}px`, display: "block" }} aria-hidden="true">
    <polyline points=${points.join(" ")} fill="none" stroke=${color} stroke-width="1.5" vector-effect="non-scaling-stroke" />
  </svg>`;
}
