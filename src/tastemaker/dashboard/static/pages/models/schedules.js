// What is trained by itself, and when.
import { del, may, put } from "../../lib/api.js";
import { useLoad } from "../../lib/data.js";
import { number } from "../../lib/format.js";
import { html, useState } from "../../lib/html.js";
import { Button, Card, Field, Input, Problem, Select, Table, toast } from "../../ui/index.js";
import { NEEDS } from "../models.js";

export function Schedules({ names }) {
  const { data, error, reload } = useLoad("/v1/schedules");
  const [name, setName] = useState("");
  const [hours, setHours] = useState("24");
  const [events, setEvents] = useState("");
  const [problem, setProblem] = useState(null);
  const why = may("models") ? null : NEEDS;
  const chosen = name || names[0] || "";
  const path = (one) => `/v1/schedules/${encodeURIComponent(one)}`;
  const set = async () => {
    try {
      await put(path(chosen), { every_hours: hours ? Number(hours) : null, after_events: events ? Number(events) : null });
      setProblem(null);
      toast(`${chosen} is trained by itself from now on`);
      await reload();
    } catch (refused) {
      setProblem(refused);
    }
  };
  const end = async (one) => {
    await del(path(one));
    await reload();
  };
  const rows = Object.entries(data?.schedules ?? {}).map(([one, when]) => ({ name: one, ...when }));
  return html`<${Card} title="Trained by itself" note="Whichever comes first: so many hours, or so many new events, since the last training.">
    <div class="stack">
      ${(error || problem) && html`<${Problem} error=${problem ?? error} />`}
      <${Table} caption="Schedules" rows=${rows} rowKey=${(row) => row.name} empty="Nothing is trained by itself" columns=${[
        { key: "name", label: "Model" },
        { key: "hours", label: "Every", align: "number", render: (row) => (row.every_hours ? `${number(row.every_hours)} h` : "–") },
        { key: "events", label: "After", align: "number", render: (row) => (row.after_events ? `${number(row.after_events)} events` : "–") },
        { key: "end", label: "", align: "number", render: (row) => html`<${Button} small kind="quiet" why=${why} onClick=${() => end(row.name)} label=${`End the schedule of ${row.name}`}>End<//>` },
      ]} />
      ${names.length > 0 && html`<div class="grid" style=${{ "--least": "150px" }}>
        <${Field} label="Model"><${Select} value=${chosen} options=${names} onChange=${setName} /><//>
        <${Field} label="Every so many hours"><${Input} type="number" min="0" value=${hours} onInput=${setHours} /><//>
        <${Field} label="After so many events"><${Input} type="number" min="0" value=${events} onInput=${setEvents} /><//>
        <div class="row" style=${{ alignItems: "end" }}><${Button} why=${why} onClick=${set}>Set<//></div>
      </div>`}
    </div>
  <//>`;
}
