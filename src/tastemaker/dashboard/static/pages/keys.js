// Who may do what: keys are made, shown once, and revoked.
import { del, may, post, setKey, whoAmI } from "../lib/api.js";
import { useLoad } from "../lib/data.js";
import { ago } from "../lib/format.js";
import { html, useEffect, useState } from "../lib/html.js";
import { Badge, Button, Card, Confirm, Copy, Dialog, Empty, Field, Input, Loading, Note, Page, Problem, Table, Toggle, toast } from "../ui/index.js";

const SCOPES = {
  recommend: "ask for recommendations",
  "events:write": "send events",
  "catalog:write": "items and users, read and written; rules of scenarios",
  models: "train, put into use and roll back models",
  metrics: "read metrics",
  dashboard: "look at everything here, change nothing",
  admin: "everything, keys and the audit log included",
};
const NEEDS = "This key may not change keys: it lacks the scope admin";

export default function Keys() {
  const { data, error, reload } = useLoad("/v1/keys");
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState(null);
  const [ending, setEnding] = useState(null);
  const why = may("admin") ? null : NEEDS;
  const revoke = async () => {
    await del(`/v1/keys/${encodeURIComponent(ending.key_id)}`);
    toast(`${ending.key_id} opens nothing any more`);
    await reload();
  };
  const keep = async (key) => {
    if (data.keys.length === 0) {
      // the service is closed from now on: without its key this page would lose sight of it, and of the secret
      setKey(key.secret);
      await whoAmI();
    }
    setMade(key);
  };
  const actions = html`<${Button} kind="primary" why=${why} onClick=${() => setMaking(true)}>Make a key<//>`;
  return html`<${Page} title="Keys" lead="Each key opens what its scopes say. Only a hash of its secret is kept." actions=${actions}>
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    ${!data && !error && html`<${Loading} />`}
    ${data && data.keys.length === 0 && html`<${Note} tone="warn">There is no key: whoever reaches this address may do everything. With the first key every request needs one, this page's included.<//>`}
    ${data && html`<${Card} label="Keys"><${Table} caption="Keys" rows=${data.keys} rowKey=${(key) => key.key_id} empty=${html`<${Empty} title="No key yet"><p>The first one should have the scope admin, so that more can be made with it.</p><//>`} columns=${[
      { key: "name", label: "Name", render: (key) => html`${key.name || html`<span class="quiet">without a name</span>`}<div class="small quiet mono">${key.key_id}</div>` },
      { key: "scopes", label: "Scopes", render: (key) => html`<span class="row tight">${key.scopes.map((scope) => html`<${Badge} key=${scope}>${scope}<//>`)}${key.browser && html`<${Badge} tone="info">for pages<//>`}</span>` },
      { key: "created", label: "Made", render: (key) => ago(key.created) },
      { key: "state", label: "State", render: (key) => (key.revoked ? html`<${Badge} tone="warn">revoked ${ago(key.revoked)}<//>` : html`<${Badge} tone="good">in force<//>`) },
      { key: "end", label: "", align: "number", render: (key) => (key.revoked ? "" : html`<${Button} small kind="danger" why=${why} onClick=${() => setEnding(key)} label=${`Revoke ${key.name || key.key_id}`}>Revoke<//>`) },
    ]} /><//>`}
    <${Make} open=${making} first=${data?.keys.length === 0} onClose=${() => setMaking(false)} onMade=${keep} />
    <${Made} made=${made} onClose=${() => { setMade(null); reload(); }} />
    <${Confirm} title="Revoke this key?" open=${Boolean(ending)} danger action="Revoke" onConfirm=${revoke} onClose=${() => setEnding(null)}>
      <p>Whoever uses <strong>${ending?.name || ending?.key_id}</strong> is refused within two seconds. This cannot be undone.</p>
    <//>
  <//>`;
}

function Make({ open, first, onClose, onMade }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState([]);
  useEffect(() => setScopes(first ? ["admin"] : []), [first, open]);
  const [browser, setBrowser] = useState(false);
  const [error, setError] = useState(null);
  const change = (scope, on) => setScopes(on ? [...scopes, scope] : scopes.filter((one) => one !== scope));
  const make = async () => {
    try {
      await onMade(await post("/v1/keys", { name, browser, scopes: browser ? [] : scopes }));
      setError(null);
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<${Dialog} title="Make a key" open=${open} onClose=${onClose} footer=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" onClick=${make}>Make it<//>`}>
    ${first && html`<${Note} tone="warn">This is the first key: from then on every request needs one. This page goes on with it, so leave it the scope admin.<//>`}
    <${Field} label="Name" hint="What uses it, such as shop or nightly import."><${Input} value=${name} onInput=${setName} maxlength="256" /><//>
    <${Toggle} checked=${browser} onChange=${setBrowser}>For the source of web pages: recommends and takes events, for the page's own user alone<//>
    ${!browser && html`<fieldset class="field"><legend>Scopes</legend>${Object.entries(SCOPES).map(([scope, words]) => html`<label key=${scope} class="toggle check"><input type="checkbox" checked=${scopes.includes(scope)} onChange=${(event) => change(scope, event.target.checked)} /><span><code>${scope}</code> <span class="small quiet">${words}</span></span></label>`)}</fieldset>`}
    ${error && html`<${Problem} error=${error} />`}
  <//>`;
}

/** The secret, this once. */
function Made({ made, onClose }) {
  return html`<${Dialog} title="The key is made" open=${Boolean(made)} onClose=${onClose} footer=${html`<${Button} kind="primary" onClick=${onClose}>I have it<//>`}>
    <${Note} tone="warn">This is the only time the secret is shown. Put it where your secrets are.<//>
    <pre data-part="secret">${made?.secret}</pre>
    <div><${Copy} text=${made?.secret ?? ""} label="Copy the secret" /></div>
    ${made?.signing_secret && html`<p>Your server signs user tokens with this; it must not reach the page:</p><pre>${made.signing_secret}</pre>`}
  <//>`;
}
