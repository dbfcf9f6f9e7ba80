import { html, useEffect, useRef, useState } from "../lib/html.js";
import { Button } from "./button.js";
import { Problem } from "./states.js";
import { Icon } from "./icon.js";

/** A window over the page; the browser keeps the focus in it and closes it by Escape. */
export function Dialog({ title, open, onClose, footer, wide, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current?.open) dialog.current.close();
  }, [open]);
  if (!open) return null;
  const outside = (event) => event.target === dialog.current && onClose();
  return html`<dialog ref=${dialog} class=${wide ? "wide" : ""} aria-label=${title} onClose=${onClose} onMouseDown=${outside}>
    <div class="inside">
      <header><h2>${title}</h2><${Button} kind="quiet" small onClick=${onClose} label="Close"><${Icon} name="close" /><//></header>
      ${children} ${footer && html`<footer>${footer}</footer>`}
    </div>
  </dialog>`;
}

/** Asks before something that matters: `children` say what will happen, `action` names the button. A problem is shown in it. */
export function Confirm({ title, open, action, danger, onConfirm, onClose, children }) {
  const [error, setError] = useState(null);
  useEffect(() => setError(null), [open]);
  const confirm = async () => {
    try {
      await onConfirm();
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  const footer = html`<${Button} onClick=${onClose}>Cancel<//><${Button} kind=${danger ? "danger" : "primary"} onClick=${confirm}>${action}<//>`;
  return html`<${Dialog} title=${title} open=${open} onClose=${onClose} footer=${footer}>
    <div class="stack tight">${children}</div>
    ${error && html`<${Problem} error=${error} />`}
  <//>`;
}
