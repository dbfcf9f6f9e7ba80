// Runs side by side, paired user by user; never where they were judged otherwise.
import { post } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { Badge, Button, Card, Loading, Note, Problem, Table } from "../../ui/index.js";
import { saveCsv, saveJson } from "./save.js";
import { Metric, P, VERDICT } from "./words.js";
import { Tradeoff } from "./tradeoff.js";
import { useRoute } from "../../lib/route.js";

export function Compared({ ids, onClose }) {
  const [state, setState] = useState({});
  const key = JSON.stringify(ids);
  useEffect(() => {
    let here = true;
    setState({});
    post("/v1/runs:compare", { run_ids: ids }).then((data) => here && setState({ data }), (error) => here && setState({ error }));
    return () => (here = false);
  }, [key]);
  const { params } = useRoute();
  const { data, error } = state;
  const actions = html`${data?.comparable && html`<${Button} small onClick=${() => saveCsv(data.figures, "comparison")}>CSV<//><${Button} small onClick=${() => saveJson(data, "comparison")}>JSON<//>`}<${Button} small onClick=${onClose}>Close<//>`;
  if (error) return html`<${Card} title="Side by side" actions=${actions}><${Problem} error=${error} /><//>`;
  if (!data) return html`<${Card} title="Side by side"><${Loading} /><//>`;
  const note = data.comparable ? `${data.judged}; differences against ${data.reference}; p corrected by Holm. Only what is significantly better than all others is marked best.` : null;
  return html`<${Card} title="Side by side" id="compared" actions=${actions} note=${note}>
      <div class="stack">${data.comparable ? html`<${Figures} data=${data} ids=${ids} />` : html`<${Note} tone="warn"><strong>These runs cannot be compared.</strong><ul>${data.reasons.map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul><//>`}<${Settings} data=${data} ids=${ids} /></div>
    <//>
    ${data.comparable && html`<${Tradeoff} report=${data} params=${params} />`}`;
}

function Figures({ data, ids }) {
  const metrics = [...new Set(data.figures.map((one) => one.metric))];
  const of = (metric, id) => data.figures.find((one) => one.metric === metric && one.name === id);
  return html`<${Table} caption="Metrics of the runs" rows=${metrics} rowKey=${(metric) => metric} columns=${[
    { key: "metric", label: "Metric", render: (metric) => html`<${Metric} name=${metric} />` },
    ...ids.map((id) => ({
      key: id,
      label: `${data.models[id]} · ${id}`,
      align: "number",
      render: (metric) => {
        const one = of(metric, id);
        return one && html`${one.value.toFixed(4)}${one.best && html` <${Badge} tone="good">best<//>`}${one.verdict && html`<div class="small quiet">p <${P} value=${one.p} /> · ${VERDICT[one.verdict]}</div>`}`;
      },
    })),
  ]} />`;
}

function Settings({ data, ids }) {
  const rows = Object.entries(data.settings);
  const words = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return html`<h3>Settings that differ</h3><${Table} caption="Settings that differ" rows=${rows} rowKey=${([name]) => name} empty="None: the same settings" columns=${[
    { key: "name", label: "Setting", render: ([name]) => html`<code>${name}</code>` },
    ...ids.map((id) => ({ key: id, label: id, render: ([, of]) => words(of[id]) })),
  ]} />`;
}
