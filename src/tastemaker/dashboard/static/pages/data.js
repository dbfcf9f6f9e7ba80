// The data: what is wrong with it, what comes in and what is refused, and whether it still looks like what the model learned from.
import { html } from "../lib/html.js";
import { Page } from "../ui/index.js";
import { Drift } from "./data/drift.js";
import { Intake } from "./data/intake.js";
import { Quality } from "./data/quality.js";

export default function Data({ params }) {
  return html`<${Page} title="Data" lead="Models are as good as what they learn from: what is wrong with it, what is refused, and what has changed.">
    <${Drift} />
    <${Intake} code=${params.code ?? ""} />
    <${Quality} />
  <//>`;
}
