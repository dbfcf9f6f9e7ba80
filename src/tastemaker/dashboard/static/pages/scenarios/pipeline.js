// The stages of a list as a picture: boxes in rows that fit the page, arrows between them, and the same in words.
import { useLoad } from "../../lib/data.js";
import { ms, number, plural } from "../../lib/format.js";
import { html, useLayoutEffect, useRef, useState } from "../../lib/html.js";
import { Badge, Button, Loading, Problem } from "../../ui/index.js";

const [WIDE, HIGH, GAP, BETWEEN] = [134, 74, 22, 26];
const RULES = { filter: "filter", seen: "seen", boosts: "boosts", diversity: "variety", max_per: "variety", rotation: "variety", pins: "pins" };

/** Under what is in force, or the draft. `onRule(section)` is called when a stage is chosen that has rules; without it stages only tell what they do. */
export function Pipeline({ scenario, draft, onRule }) {
  const { data, error, reload } = useLoad("/v1/pipeline", { scenario, draft: draft || undefined });
  const [chosen, setChosen] = useState(null);
  if (error) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!data) return html`<${Loading} rows=${3} />`;
  const choose = (stage) => {
    setChosen(stage.name);
    if (onRule && RULES[stage.name]) onRule(RULES[stage.name]);
  };
  const shown = data.stages.find(({ name }) => name === chosen);
  return html`<div class="stack tight">
    <${Picture} stages=${data.stages} chosen=${chosen} onChoose=${choose} jumps=${Boolean(onRule)} />
    <p class="small quiet">Solid boxes do something for a request that asks for nothing besides; dashed ones wait until they are asked. <span class="mark" aria-hidden="true">◆</span> is the scenario's doing.</p>
    ${shown && html`<${Details} stage=${shown} onRule=${onRule && RULES[shown.name] ? () => onRule(RULES[shown.name]) : null} />`}
  </div>`;
}

function Picture({ stages, chosen, onChoose, jumps }) {
  const place = useRef(null);
  const [width, setWidth] = useState(900);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.max(entry.contentRect.width, 200)));
    watch.observe(place.current);
    return () => watch.disconnect();
  }, []);
  const columns = Math.max(1, Math.min(stages.length, Math.floor((width + GAP) / (WIDE + GAP))));
  const box = columns === 1 ? Math.min(width - 4, 320) : Math.floor((width - 4 - (columns - 1) * GAP) / columns);
  const at = (index) => ({ x: 2 + (index % columns) * (box + GAP), y: 2 + Math.floor(index / columns) * (HIGH + BETWEEN) });
  const rows = Math.ceil(stages.length / columns);
  const high = rows * HIGH + (rows - 1) * BETWEEN + 4;
  return html`<div ref=${place} class="pipeline">
    <svg viewBox=${`0 0 ${width} ${high}`} width=${width} height=${high} role="group" aria-label=${`The stages of a list: ${stages.map(({ title }) => title).join(", then ")}`}>
      <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" /></marker></defs>
      ${stages.slice(1).map((stage, index) => html`<path key=${stage.name} class=${`arrow${stage.name === "fallback" ? " aside" : ""}`} d=${arrow(at(index), at(index + 1), box, columns)} marker-end="url(#tip)" aria-hidden="true" />`)}
      ${stages.map((stage, index) => html`<${Box} key=${stage.name} stage=${stage} ...${at(index)} width=${box} chosen=${stage.name === chosen} onChoose=${onChoose} jumps=${jumps} />`)}
    </svg>
    <ol class="visually-hidden">
      ${stages.map((stage) => html`<li key=${stage.name}>${stage.title}, ${stage.active ? "at work" : "waiting"}${stage.by_scenario ? ", by the scenario" : ""}: ${stage.detail}. ${time(stage)}</li>`)}
    </ol>
  </div>`;
}

function arrow(from, to, width, columns) {
  const middle = HIGH / 2;
  if (to.y === from.y) return `M${from.x + width + 2} ${from.y + middle}H${to.x - 3}`;
  if (columns === 1) return `M${from.x + width / 2} ${from.y + HIGH + 2}V${to.y - 3}`;
  const turn = from.y + HIGH + BETWEEN / 2;
  return `M${from.x + width / 2} ${from.y + HIGH + 2}V${turn}H${to.x + width / 2}V${to.y - 3}`;
}

function Box({ stage, x, y, width, chosen, onChoose, jumps }) {
  const act = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    onChoose(stage);
  };
  const rule = jumps && RULES[stage.name];
  const kind = `stage${stage.active ? " active" : ""}${chosen ? " chosen" : ""}`;
  return html`<g class=${kind} role="button" tabindex="0" data-stage=${stage.name} aria-pressed=${String(chosen)} aria-label=${`${stage.title}: ${stage.detail}${rule ? ". To its rules" : ""}`} onClick=${act} onKeyDown=${act}>
    <title>${stage.detail}</title>
    <rect x=${x} y=${y} width=${width} height=${HIGH} rx="8" />
    <text class="name" x=${x + 12} y=${y + 23}>${stage.title}</text>
    ${stage.by_scenario && html`<text class="by" x=${x + width - 12} y=${y + 23} text-anchor="end">◆</text>`}
    <text x=${x + 12} y=${y + 43}>${clipped(state(stage), width)}</text>
    <text x=${x + 12} y=${y + 61}>${time(stage)}</text>
  </g>`;
}

const clipped = (text, width) => (text.length > (width - 20) / 6.6 ? `${text.slice(0, Math.floor((width - 30) / 6.6))}…` : text);

/** What is to be seen in the box. */
function state(stage) {
  const { counts, settings } = stage;
  if (stage.name === "sources") return stage.parts.map(({ title }) => title).join(" + ") || "popular items";
  if (stage.name === "availability") return `${number(counts.available)} of ${number(counts.items)}`;
  if (stage.name === "filter") return counts.matches === undefined ? "none" : `${number(counts.matches)} match`;
  if (stage.name === "seen") return settings.exclude_seen === false ? "may come again" : `left out${counts.excluded ? ` + ${counts.excluded}` : ""}`;
  if (stage.name === "ranker") return settings.objective ?? (settings.labels ?? []).join(", ") ?? "";
  if (stage.name === "boosts") return stage.active ? plural(settings.boosts.length, "boost") : "none";
  if (stage.name === "pins") return `${stage.active ? `${plural(counts.pins, "pin")}, ` : ""}${settings.limit} items`;
  if (stage.name === "max_per") return stage.active ? stage.detail : "none";
  if (stage.name === "diversity") return settings.diversity ? `${Math.round(settings.diversity * 100)} %${stage.active ? "" : ", not here"}` : "none";
  if (stage.name === "rotation") return stage.active ? `${Math.round(settings.rotation.rate * 100)} % of places` : "none";
  if (stage.name === "fallback") return "last list, popular";
  return stage.active ? "at work" : "where asked for";
}

function time(stage) {
  const took = stage.measured.reduce((sum, one) => sum + one.mean_ms, 0);
  return stage.measured.length ? `${ms(took)} a batch` : "not measured";
}

function Details({ stage, onRule }) {
  return html`<div class="note" data-details=${stage.name}>
    <div class="stack tight grow">
      <div class="row tight"><strong>${stage.title}</strong>${stage.by_scenario && html`<${Badge} tone="info">by the scenario<//>`}</div>
      <span>${stage.detail}</span>
      ${stage.parts.map((part) => html`<span key=${part.title} class="small">${part.title}: ${part.detail}</span>`)}
      ${stage.measured.map((one) => html`<span key=${one.stage} class="small quiet">${one.stage}: ${ms(one.mean_ms)} a batch, mean of ${number(one.batches)}</span>`)}
      ${stage.budget_ms !== null && html`<span class="small quiet">at most ${ms(stage.budget_ms)}, then without it</span>`}
      ${onRule && html`<div><${Button} small onClick=${onRule}>To its rules<//></div>`}
    </div>
  </div>`;
}
