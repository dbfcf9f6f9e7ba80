// All scenarios, and what a list goes through without any.
import { api } from "../../lib/api.js";
import { usePages } from "../../lib/data.js";
import { ago } from "../../lib/format.js";
import { html, useState } from "../../lib/html.js";
import { Badge, Button, Card, Dialog, Empty, Field, Input, Page, Problem, Table, Tip } from "../../ui/index.js";
import { Pipeline } from "./pipeline.js";
import { CHANGES, TIPS } from "./words.js";

export function List({ onOpen }) {
  const { rows, more, next, error, loading, reload } = usePages("/v1/scenarios", {}, "scenarios");
  const [making, setMaking] = useState(false);
  const add = html`<${Button} kind="primary" onClick=${() => setMaking(true)} why=${api.may(CHANGES) ? "" : `needs a key with the scope ${CHANGES}`}>New scenario<//>`;
  const lead = "Rules for the lists of a place in the shop: what may be shown, what is raised, what stands where. Pages of the shop name the scenario; its rules are changed here, without code.";
  return html`<${Page} title="Scenarios" lead=${lead} actions=${add}>
    <${Card} title="All scenarios">
      ${error
        ? html`<${Problem} error=${error} retry=${reload} />`
        : html`<${Table}
            caption="Scenarios"
            rows=${rows}
            rowKey=${(row) => row.name}
            loading=${loading}
            more=${more}
            onMore=${next}
            onRow=${(row) => onOpen(row.name)}
            empty=${html`<${Empty} title="No scenario yet">
              <p>Make one with the name that your pages send as <code>scenario</code>, such as <code>home</code> or <code>basket</code>. Until it is published nothing changes.</p>
              ${add}
            <//>`}
            columns=${[
              { key: "name", label: "Name", render: (row) => html`<span class="whole">${row.name}</span>` },
              { key: "state", label: "State", render: (row) => html`<${State} inForce=${row.in_force} draft=${row.draft} />` },
              { key: "description", label: "What for", render: (row) => row.description || html`<span class="quiet">no description</span>` },
              { key: "changed", label: "Changed", render: (row) => html`${ago(row.changed)} <span class="quiet">by ${row.changed_by}</span>` },
            ]}
          />`}
    <//>
    <${Card} title=${html`What a list goes through <${Tip} text=${TIPS.pipeline} />`} note="The stages for the model in use, when a request names no scenario.">
      <${Pipeline} />
    <//>
    <${Making} open=${making} onClose=${() => setMaking(false)} onMade=${onOpen} />
  <//>`;
}

/** Which version is in force, and whether something waits to be published. */
export function State({ inForce, draft, dirty }) {
  return html`<span class="row tight whole">
    <${Badge} tone=${inForce ? "good" : ""}>${inForce ? `version ${inForce} in force` : "not in force"}<//>
    ${draft && html`<${Badge} tone="info">draft waits<//>`} ${dirty && html`<${Badge} tone="warn">not saved<//>`}
  </span>`;
}

const NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

function Making({ open, onClose, onMade }) {
  const [name, setName] = useState("");
  const [error, setError] = useState("");
  const make = async (event) => {
    event.preventDefault();
    if (!NAME.test(name)) {
      setError("A letter, then letters, digits and _ . - (at most 64)");
      return;
    }
    try {
      await api.put(`/v1/scenarios/${encodeURIComponent(name)}`, { rules: {}, revision: 0 });
      onMade(name);
    } catch (problem) {
      setError(problem.code === "draft_changed" ? "There is one of this name already" : problem.message);
    }
  };
  return html`<${Dialog} title="New scenario" open=${open} onClose=${onClose}>
    <form class="stack" onSubmit=${make}>
      <${Field} label="Name" hint="as requests will send it in the field scenario" error=${error}>
        <${Input} value=${name} onInput=${setName} autocomplete="off" spellcheck=${false} autofocus />
      <//>
      <div class="row"><button class="button primary">Make it</button></div>
    </form>
  <//>`;
}
