// Asking for a new version: as before, or with settings of one's own, which the service checks.
import { get, post } from "../../lib/api.js";
import { html, useEffect, useState } from "../../lib/html.js";
import { Button, Dialog, Field, Input, Problem, Select, Toggle, toast } from "../../ui/index.js";

export function TrainDialog({ open, onClose, models }) {
  const [name, setName] = useState("");
  const [config, setConfig] = useState("");
  const [promote, setPromote] = useState(true);
  const [warm, setWarm] = useState(true);
  const [known, setKnown] = useState([]);
  const [error, setError] = useState(null);
  const lines = [...new Set(models.map((one) => one.name))];
  useEffect(() => {
    if (!open) return;
    setError(null);
    setName(lines[0] ?? "sasrec");
    get("/v1/model-names").then((found) => setKnown(found.names), () => setKnown([]));
  }, [open]);
  useEffect(() => {
    const before = models.find((one) => one.name === name)?.facts.config;
    setConfig(JSON.stringify(before ?? { model: { name } }, null, 2));
  }, [name]);
  const train = async () => {
    let tree;
    try {
      tree = JSON.parse(config);
    } catch (problem) {
      setError({ title: "The settings are not JSON", detail: problem.message });
      return;
    }
    try {
      const job = await post(`/v1/models/${encodeURIComponent(name)}:train`, { config: tree, promote, warm_start: warm });
      toast(`Training of ${name} is on its way: ${job.job_id}`);
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  const options = [...lines.map((one) => [one, `${one} (a new version of it)`]), ...known.filter((one) => !lines.includes(one)).map((one) => [one, one])];
  return html`<${Dialog} title="Train a new version" open=${open} onClose=${onClose} footer=${html`<${Button} onClick=${onClose}>Cancel<//><${Button} kind="primary" onClick=${train}>Train<//>`}>
    <p>It is trained on all events of the store, in a process of its own; the service goes on answering.</p>
    <${Field} label="Model"><${Select} value=${name} options=${options.length ? options : [name]} onChange=${setName} /><//>
    <${Field} label="Settings" hint="Sections as in a config file, as JSON; what is left out is chosen from the data."><${Input} rows=${8} value=${config} onInput=${setConfig} spellcheck=${false} /><//>
    <${Toggle} checked=${promote} onChange=${setPromote}>Put it into use if it passes the gate<//>
    <${Toggle} checked=${warm} onChange=${setWarm}>Begin with the weights of the newest version<//>
    ${error && html`<${Problem} error=${error} />`}
  <//>`;
}
