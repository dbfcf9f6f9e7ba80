// One scenario: its rules as a draft, what they would change, putting them in force and back.
import { api } from "../../lib/api.js";
import { useLoad, useSettled } from "../../lib/data.js";
import { plural, share } from "../../lib/format.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { go, setParams } from "../../lib/route.js";
import { Button, Card, Confirm, Copy, Loading, Note, Page, Problem, Tabs, Tip, Toggle, toast } from "../../ui/index.js";
import { History } from "./history.js";
import { State } from "./list.js";
import { Pipeline } from "./pipeline.js";
import { Preview } from "./preview.js";
import { Rules } from "./rules.js";
import { CHANGES, TIPS, same, tidy } from "./words.js";

const VIEWS = [
  { id: "rules", label: "Rules" },
  { id: "preview", label: "Preview" },
  { id: "history", label: "History" },
];

/** Rules that were typed and not saved, with the revision they began with, by name: leaving the page does not lose them. */
const unsaved = new Map();

export function Editor({ name, view }) {
  const path = `/v1/scenarios/${encodeURIComponent(name)}`;
  const { data, error, reload } = useLoad(path);
  const [rules, setRules] = useState(null);
  const [kept, setKept] = useState(null);
  const [asking, setAsking] = useState(null);
  const [asDraft, setAsDraft] = useState(true);
  const saved = data && (data.draft ?? data.published?.rules ?? {});
  useEffect(() => {
    if (data && kept !== data.revision) {
      const mine = unsaved.get(name);
      setKept(data.revision);
      setRules(mine?.revision === data.revision ? mine.rules : saved);
    }
  }, [data]);
  const dirty = Boolean(data && rules) && !same(rules, saved);
  useEffect(() => {
    if (!dirty) {
      if (rules && kept === data?.revision) unsaved.delete(name);
      return undefined;
    }
    unsaved.set(name, { rules, revision: data.revision });
    const ask = (event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [dirty, rules]);
  const checked = useChecked(rules);
  if (error) return html`<${Page} title=${name}><${Problem} error=${error} retry=${reload} /><//>`;
  if (!data || !rules) return html`<${Page} title=${name}><${Loading} rows=${6} /><//>`;

  const read = api.may(CHANGES) ? "" : `needs a key with the scope ${CHANGES}`;
  const wrong = checked?.errors?.[0];
  const save = async () => {
    await api.put(path, { rules: tidy(rules), revision: data.revision });
    await reload();
    toast("The draft is saved; it is not in force yet");
  };
  const done = (words) => async () => {
    await reload();
    toast(words);
  };
  const publish = () => api.post(`${path}:publish`, { revision: data.revision }).then(done(`In force from the next request on`));
  const back = () => api.post(`${path}:rollback`).then(done("The version before is in force again"));
  const toRule = (section) => {
    setParams({ view: "rules" });
    requestAnimationFrame(() => setTimeout(() => {
      const target = document.getElementById(`rule-${section}`);
      target?.scrollIntoView({ block: "start", behavior: "smooth" });
      target?.querySelector("input, textarea, select, button")?.focus({ preventScroll: true });
    }));
  };
  const before = data.published?.replaced;
  const under = data.draft && asDraft ? "Under the draft that is saved, which is not in force." : data.published ? `Under version ${data.published.version}, which is in force.` : "Nothing is in force yet.";
  const saving = read || (dirty ? wrong && `${wrong.rule}: ${wrong.detail}` : "nothing has changed since it was saved");
  const actions = html`
    <${Button} onClick=${save} kind=${dirty ? "primary" : ""} why=${saving}>Save draft<//>
    <${Button} onClick=${() => setAsking("publish")} kind=${dirty ? "" : "primary"} why=${read || (dirty ? "save the draft first" : !data.draft && "there is no draft to publish")}>Publish…<//>
    <${Button} onClick=${() => setAsking("back")} why=${read || (!data.published && "no version is in force")}>Roll back…<//>
    <${Button} kind="quiet" onClick=${() => go("scenarios", {})}>All scenarios<//>`;
  return html`<${Page} title=${name} lead=${html`<span class="wrap">${rules.description || "A scenario without a description."}</span>`} actions=${actions}>
    <div class="row apart">
      <${State} inForce=${data.published?.version} draft=${Boolean(data.draft)} dirty=${dirty} />
      <${Copy} label="Copy as curl" text=${api.curl("POST", "/v1/recommendations", { user_id: "USER", scenario: name })} />
    </div>
    <${Card}
      title=${html`What its lists go through <${Tip} text=${TIPS.pipeline} />`}
      note=${`${under} Choose a stage to get to its rules.`}
      actions=${data.draft && html`<${Toggle} checked=${asDraft} onChange=${setAsDraft}>as in the draft<//>`}
    >
      <${Pipeline} key=${`${data.revision}${asDraft}`} scenario=${name} draft=${Boolean(data.draft) && asDraft} onRule=${toRule} />
    <//>
    <${Tabs} label="Views" tabs=${VIEWS} value=${view} onChange=${(id) => setParams({ view: id }, { step: true })} />
    <div role="tabpanel" aria-labelledby=${`tab-${view}`}>
      ${view === "rules" && html`<${Rules} rules=${rules} change=${(more) => setRules((now) => ({ ...now, ...more }))} checked=${checked} readOnly=${Boolean(read)} onDelete=${() => setAsking("delete")} why=${read} />`}
      ${view === "preview" && html`<${Preview} path=${path} rules=${rules} wrong=${wrong} />`}
      ${view === "history" && html`<${History} path=${path} revision=${data.revision} inForce=${data.published?.version} onTake=${read ? null : (taken) => { setRules(taken); setParams({ view: "rules" }); toast("In the editor; save it to make it the draft", "info"); }} />`}
    </div>
    <${Confirm} title=${`Publish ${name}?`} open=${asking === "publish"} onClose=${() => setAsking(null)} action="Publish" onConfirm=${publish}>
      <p>Version ${data.versions + 1} is in force from the next request on; other processes follow within two seconds. A rollback puts back what is in force now.</p>
      ${asking === "publish" && html`<${Effect} path=${path} rules=${rules} />`}
    <//>
    <${Confirm} title=${`Roll back ${name}?`} open=${asking === "back"} onClose=${() => setAsking(null)} action="Roll back" danger onConfirm=${back}>
      <p>${before ? `Version ${before} is in force again.` : "No version was in force before: requests that name it get lists without rules again."} Version ${data.published?.version} stays in the history.</p>
      ${asking === "back" && html`<${Earlier} path=${path} version=${before} />`}
    <//>
    <${Confirm} title=${`Delete ${name}?`} open=${asking === "delete"} onClose=${() => setAsking(null)} action="Delete" danger
      onConfirm=${async () => { await api.del(path); go("scenarios", {}); }}>
      <p>It is out of force at once: requests that name it get lists without rules. Its versions stay in the store, for lists that began with them.</p>
    <//>
  <//>`;
}

/** What the service says of rules as they are typed. */
function useChecked(rules) {
  const [checked, setChecked] = useState(null);
  const settled = useSettled(JSON.stringify(tidy(rules ?? {})), 250);
  useEffect(() => {
    let here = true;
    api.post("/v1/scenarios:check", JSON.parse(settled)).then(
      (found) => here && setChecked(found),
      (problem) => here && setChecked({ errors: [{ rule: "rules", detail: problem.message }], notes: [], matches: [], items: {} }),
    );
    return () => (here = false);
  }, [settled]);
  return checked;
}

/** How much rules change, in a sentence; counted before it is done. */
function Effect({ path, rules }) {
  const [told, setTold] = useState(null);
  useEffect(() => {
    let here = true;
    api.post(`${path}:preview`, { rules: tidy(rules) }).then(
      (found) => here && setTold(found),
      (problem) => here && setTold({ problem }),
    );
    return () => (here = false);
  }, []);
  if (!told) return html`<${Loading} rows=${1} label="Counting what changes" />`;
  if (told.problem) return html`<${Problem} error=${told.problem} />`;
  const { changed, slots, users, share_changed: part, short } = told.totals;
  return html`<${Note} tone=${short ? "warn" : "info"}>
    <strong data-effect>${changed} of ${slots} places (${share(part)})</strong> on the lists of ${plural(users, "user")} would hold another item.
    ${short > 0 && html` ${plural(short, "list")} would be shorter than asked for.`}
  <//>`;
}

function Earlier({ path, version }) {
  const { data, error } = useLoad(version ? `${path}/versions` : null, { limit: 1000 });
  if (error) return html`<${Problem} error=${error} />`;
  if (version && !data) return html`<${Loading} rows=${1} />`;
  const rules = data?.versions.find((one) => one.version === version)?.rules ?? {};
  return html`<${Effect} path=${path} rules=${rules} />`;
}
