// Scenarios: the rules of the lists of each place in the shop, from a draft to what is in force.
import { go } from "../lib/route.js";
import { html } from "../lib/html.js";
import { Editor } from "./scenarios/editor.js";
import { List } from "./scenarios/list.js";

export const title = "Scenarios";

export default function ScenariosPage({ params }) {
  if (params.name) return html`<${Editor} key=${params.name} name=${params.name} view=${params.view ?? "rules"} />`;
  return html`<${List} onOpen=${(name) => go("scenarios", { name })} />`;
}
