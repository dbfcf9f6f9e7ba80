// What comes in now, against what the model in use learned from.
import { useLoad } from "../../lib/data.js";
import { ago, interval, number, share } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { Badge, Card, Empty, Loading, Problem, Table } from "../../ui/index.js";

const NAMES = {
  item_popularity: ["What is asked for", "divergence"],
  unknown_items: ["Events on unknown items", "unknown items"],
  unknown_users: ["Events by unknown users", "unknown users"],
  kinds: ["Mix of kinds", "divergence"],
  value: ["Mean value", "value ratio"],
};
const TONES = { steady: "good", watch: "warn", drifted: "bad", unknown: "" };
const WORDS = { bits: (value) => `${number(value, 3)} bits`, share: (value) => share(value), ratio: (value) => `× ${number(value, 2)}` };

export function Drift() {
  const { data, error, reload } = useLoad("/v1/data/drift", undefined, { every: 30 });
  const note = data?.events ? `Of ${data.model}: ${data.since}. Counted ${ago(data.counted_at)}.` : "";
  return html`<${Card} title="Drift against training" note=${note} id="drift">
    ${error && html`<${Problem} error=${error} retry=${reload} />`} ${!data && !error && html`<${Loading} />`}
    ${data && !data.model && html`<${Empty} title="No model is in use"><p>There is nothing to compare with until one is.</p><a class="button" href="#/models">Models</a><//>`}
    ${data?.model && !data.events && html`<${Empty} title="Nothing came in since training"><p>Drift is measured on events that came after what the model learned from.</p><//>`}
    ${data?.events > 0 && html`<${Table} caption="Drift against training" rows=${data.measures} rowKey=${(row) => row.name} columns=${[
      { key: "name", label: "Measure", render: (row) => html`<span data-measure=${row.name}>${NAMES[row.name][0]}</span>` },
      { key: "verdict", label: "Verdict", tip: "drift", render: (row) => html`<${Badge} tone=${TONES[row.verdict]}>${row.verdict}<//>` },
      { key: "value", label: "Now", align: "number", render: (row) => (row.value === null ? "–" : WORDS[row.unit](row.value)) },
      { key: "range", label: "Without drift", align: "number", render: (row) => (row.low === null ? "–" : interval(row.low, row.high, WORDS[row.unit])) },
      { key: "of", label: "Of", align: "number", render: (row) => (row.of ? number(row.of) : "–") },
      { key: "note", label: "What to make of it", render: (row) => html`<span class="small">${row.note}</span>` },
    ]} />`}
  <//>`;
}
