// Why an item is on the list or is not: its way through every stage.
import { number, title } from "../../lib/format.js";
import { html, useEffect, useRef } from "../../lib/html.js";
import { keep, useItems } from "../../lib/items.js";
import { words } from "../../lib/reasons.js";
import { href } from "../../lib/route.js";
import { Badge, Card, Empty, Icon, ItemSearch, Loading, Problem, Table } from "../../ui/index.js";
import { Curl, useAsk } from "./ask.js";

const STAGES = {
  retrieve: "Candidate retrieval",
  availability: "Availability",
  filter: "Filter",
  seen: "Already seen",
  rank: "Ranking",
  boosts: "Boosts",
  pins: "Pins",
  rerank: "Language model",
  diversity: "Diversity",
  max_per: "Caps",
  rotation: "Rotation",
  limit: "Length of the list",
};

/** `asked` counts the clicks, so that each brings the reader here. */
export function Why({ user, item, request, asked, onPick }) {
  const { include, ...rest } = request; // what an explanation has no use for
  const body = item ? { user_id: user, item_id: item, request: rest, features: true } : null;
  const told = useAsk("/v1/explain", body);
  const heading = useRef(null);
  useEffect(() => {
    if (asked) {
      heading.current?.scrollIntoView({ block: "start" });
      heading.current?.focus({ preventScroll: true });
    }
  }, [asked]);
  const pick = (one) => {
    keep([one]);
    onPick(one.item_id);
  };
  return html`<${Card} id="why" title=${html`<span tabindex="-1" ref=${heading}>Why, and why not</span>`} note="Any item's way to this user's list, by the version in use." actions=${item && html`<${Curl} path="/v1/explain" body=${body} />`}>
    <div class="stack">
      <${ItemSearch} label="An item" onPick=${pick} />
      ${!item && html`<${Empty} title="No item chosen"><p>Find one here, or ask “Why?” on any list.</p><//>`}
      ${told.error && html`<${Problem} error=${told.error} retry=${told.reload} />`}
      ${!told.data && told.loading && html`<${Loading} rows=${6} />`}
      ${told.data && html`<${Trace} trace=${told.data} busy=${told.loading} />`}
    </div>
  <//>`;
}

function Trace({ trace, busy }) {
  const item = useItems([trace.item_id, ...trace.reasons.map(({ item_id }) => item_id).filter(Boolean)]);
  const stop = trace.steps.find(({ passed }) => !passed);
  const verdict = trace.recommended ? `On the list, at rank ${trace.rank}.` : stop ? `Not on the list: stopped at “${STAGES[stop.stage] ?? stop.stage}”.` : "Not on the list.";
  const features = Object.entries(trace.features ?? {}).map(([name, value]) => ({ name, value: value === null ? "not known" : typeof value === "object" ? JSON.stringify(value) : typeof value === "number" ? number(value, 4) : String(value) }));
  return html`<div class="stack" data-part="trace" data-item=${trace.item_id} aria-busy=${busy ? "true" : undefined}>
    <div class="stack tight">
      <h3><a href=${href("catalogue", { item: trace.item_id })}>${title(item(trace.item_id))}</a></h3>
      <p class="row tight" role="status"><${Badge} tone=${trace.recommended ? "good" : "warn"}>${trace.recommended ? "recommended" : "not recommended"}<//> <span>${verdict}</span></p>
      <p class="small quiet">${trace.score === null ? "The model gives it no score" : `Score ${number(trace.score, 4)}`}${trace.model && ` · ${trace.model.name} ${trace.model.version || ""}`} · <span class="mono">${trace.item_id}</span></p>
      ${trace.reasons.length > 0 && html`<ul class="small" data-part="reasons">${trace.reasons.map((reason, place) => html`<li key=${place}>${words(reason, item)}${Number.isFinite(reason.weight) && html` <span class="quiet">(${number(reason.weight, 3)})</span>`}</li>`)}</ul>`}
    </div>
    <ol class="stages">
      ${trace.steps.map(
        (step, place) =>
          html`<li key=${place} data-stage=${step.stage} class=${step.passed ? "passed" : "stopped"}>
            <${Icon} name=${step.passed ? "check" : "close"} />
            <div><strong>${STAGES[step.stage] ?? step.stage.replaceAll("_", " ")}</strong> <span class="small quiet">${step.passed ? "passed" : step === stop ? "stopped here" : "would stop here too"}</span><div class="wrap">${step.detail}</div></div>
          </li>`,
      )}
    </ol>
    ${features.length > 0 && html`<details><summary class="strong">What the ranker read (${features.length})</summary><${Table} caption="Features of the ranker" columns=${[{ key: "name", label: "Feature" }, { key: "value", label: "Value" }]} rows=${features} rowKey=${(row) => row.name} /></details>`}
  </div>`;
}
