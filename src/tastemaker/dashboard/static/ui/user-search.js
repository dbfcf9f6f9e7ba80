import { get } from "../lib/api.js";
import { useSettled } from "../lib/data.js";
import { html, useEffect, useState } from "../lib/html.js";
import { Button } from "./button.js";
import { useId } from "./field-id.js";
import { Icon } from "./icon.js";

/** A line that takes a user's id, and offers those that begin like it; `onPick` gets the id, known or not. */
export function UserSearch({ value = "", label = "User", onPick }) {
  const [text, setText] = useState(value);
  const [users, setUsers] = useState([]);
  const id = useId();
  const prefix = useSettled(text.trim(), 150);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    let here = true;
    get("/v1/users", { prefix, limit: 20 }).then((reply) => here && setUsers(reply.users), () => here && setUsers([]));
    return () => (here = false);
  }, [prefix]);
  const pick = (event) => {
    event.preventDefault();
    if (text.trim()) onPick(text.trim());
  };
  const type = (event) => {
    setText(event.target.value);
    if (event.inputType === "insertReplacementText" || !event.inputType) onPick(event.target.value); // taken from the list
  };
  return html`<form class="row tight" role="search" onSubmit=${pick}>
    <div class="search grow" style=${{ minWidth: "160px" }}>
      <${Icon} name="person" />
      <input class="input" value=${text} onInput=${type} list=${id} aria-label=${label} placeholder="A user's id" autocomplete="off" spellcheck="false" maxlength="256" />
      <datalist id=${id}>${users.map(({ user_id }) => html`<option key=${user_id} value=${user_id}></option>`)}</datalist>
    </div>
    <${Button} type="submit">Show<//>
  </form>`;
}
