// One version: lineage, course of training, gate, and putting it into use.
import { may, post } from "../../lib/api.js";
import { useLoad } from "../../lib/data.js";
import { bytes, duration, interval, number, when } from "../../lib/format.js";
import { html, useState } from "../../lib/html.js";
import { href } from "../../lib/route.js";
import { Badge, Bars, Button, Card, Confirm, Loading, Note, Problem, Tip, toast } from "../../ui/index.js";
import { NEEDS } from "../models.js";
import { Curves } from "./curves.js";

/** `onChange` is called when another version is in use. */
export function Version({ model, onChange }) {
  const path = `/v1/models/${encodeURIComponent(model.name)}/versions/${model.version}`;
  const { data, error, reload } = useLoad(path);
  const [asking, setAsking] = useState(null);
  const name = `${model.name} ${model.version}`;
  if (error) return html`<${Card} title=${name}><${Problem} error=${error} retry=${reload} /><//>`;
  if (!data) return html`<${Card} title=${name}><${Loading} /><//>`;
  const why = may("models") ? (data.in_use ? "It is in use" : data.lineage ? null : (data.problem ?? "Its files are not here")) : NEEDS;
  const promote = async (force) => {
    await post(`${path}:promote`, { force });
    toast(`${name} is in use`);
    await Promise.all([reload(), onChange()]);
  };
  const refused = data.facts.gate && !data.facts.gate.passed;
  const actions = html`<${Button} why=${why} onClick=${() => setAsking("gate")}>Put into use<//>${refused && html`<${Button} kind="danger" why=${why} onClick=${() => setAsking("force")}>Put into use anyway<//>`}`;
  return html`<${Card} title=${name} id="version" actions=${data.in_use ? html`<${Badge} tone="good">in use<//>` : actions}>
    <div class="stack">
      ${data.problem && html`<${Note} tone="warn">${data.problem}<//>`}
      <${Gate} gate=${data.facts.gate} forced=${data.facts.forced} />
      ${data.curve.epochs.length + data.curve.steps.length > 1 && html`<${Curves.One} curve=${data.curve} />`}
      <${LineageTable} detail=${data} />
    </div>
    <${Confirm} title=${`Put ${name} into use?`} open=${asking === "gate"} action="Put into use" onConfirm=${() => promote(false)} onClose=${() => { setAsking(null); reload(); }}>
      <p>The gate asks it about what users did last. If it passes, it answers from the next request on, and no request fails; else nothing changes and the reasons stand here.</p>
    <//>
    <${Confirm} title=${`Put ${name} into use although the gate refused it?`} open=${asking === "force"} danger action="Put into use anyway" onConfirm=${() => promote(true)} onClose=${() => setAsking(null)}>
      <p>The gate found:</p>
      <ul>${(data.facts.gate?.reasons ?? []).map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul>
      <p>It would answer everybody from the next request on. You can roll back.</p>
    <//>
  <//>`;
}

const WHO = { candidate: "this version", popularity: "popularity", neighbours: "item neighbours", in_use: "the one in use then" };

function Gate({ gate, forced }) {
  if (!gate) return html`<${Note}>The gate was not asked yet: it is when the version is put into use.<//>`;
  const tone = gate.passed ? "good" : "bad";
  const rows = Object.entries(gate.metrics).map(([who, told]) => {
    const ndcg = told["ndcg@10"];
    return { label: WHO[who] ?? who, value: ndcg.value, low: ndcg.interval[0], high: ndcg.interval[1], color: who === "candidate" ? "var(--c1)" : "var(--c0)" };
  });
  return html`<div class="stack tight" data-part="gate">
    <h3>Gate <${Tip} term="gate" /></h3>
    <${Note} tone=${tone}>
      <strong>${gate.passed ? "Passed" : "Refused"}</strong>${gate.users_asked ? ` on what ${number(gate.users_asked)} users did last` : ""}${forced && !gate.passed ? "; it was put into use all the same" : ""}.
      ${[...gate.reasons, ...gate.warnings].length > 0 && html`<ul>${[...gate.reasons, ...gate.warnings].map((words) => html`<li key=${words}>${words}</li>`)}</ul>`}
    <//>
    ${rows.length > 0 && html`<p class="small quiet">ndcg@10 with 95 % intervals, asked about the newest event of each user. <${Tip} term="ndcg" /></p><${Bars} rows=${rows} label="ndcg@10 at the gate" />`}
    ${Object.entries(gate.differences).map(([who, told]) => html`<p key=${who} class="small">Against ${who === "halfway" ? "halfway from popularity to neighbours" : (WHO[who] ?? who)}: ${signed(told.difference)} (${interval(told.interval[0], told.interval[1], signed)})</p>`)}
  </div>`;
}

const signed = (value) => (value > 0 ? `+${number(value)}` : number(value));

function LineageTable({ detail }) {
  const told = detail.lineage;
  if (!told) return null;
  const hash = (text) => (text ? html`<code title=${text}>${text.slice(0, 16)}…</code>` : "not known");
  const known = (value, words = (one) => one) => (value === null || value === undefined ? "not known" : words(value));
  const rows = [
    ["Trained on", `${told.interactions === null ? "" : `${number(told.interactions)} interactions, `}${number(told.users)} users, ${number(told.items)} items`],
    ["Data", hash(told.data)],
    ["Seed", known(told.seed)],
    ["Code", `tastemaker ${told.tastemaker}, torch ${told.torch}${told.python ? `, python ${told.python}` : ""}`],
    ["Machine", known(told.machine, (one) => `${one.processor}, ${one.threads} threads, ${one.device}`)],
    ["Training", known(told.train_seconds, (one) => `${duration(one)}${told.epochs ? `, best after epoch ${told.epochs}` : ""}`)],
    ["Began with", told.parent ?? "fresh weights"],
    ["Run", told.run ? html`<a href=${href("evaluation", { run: told.run })}>${told.run}</a>` : "not known"],
    ["Job", told.job ?? "none: added by hand"],
    ["Manifest", hash(told.manifest)],
    ["Size", known(told.size, bytes)],
    ["Put into use", detail.facts.promoted_at ? when(detail.facts.promoted_at / 1e6) : "never"],
    ["Took over from", detail.facts.replaced ? `${detail.facts.replaced.name} ${detail.facts.replaced.version}` : "–"],
  ];
  return html`<div class="stack tight">
    <h3>Lineage</h3>
    <div class="table" tabindex="0" role="region" aria-label="Lineage"><table data-part="lineage"><tbody>${rows.map(([label, value]) => html`<tr key=${label}><th scope="row">${label}</th><td>${value}</td></tr>`)}</tbody></table></div>
    <details><summary>All settings</summary><pre tabindex="0">${JSON.stringify(told.config, null, 2)}</pre></details>
  </div>`;
}
