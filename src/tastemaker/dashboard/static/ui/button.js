import { html, useRef, useState } from "../lib/html.js";
import { Icon } from "./icon.js";
import { toast } from "./toast.js";

/**
 * A button that waits for what `onClick` returns. Disabled ones can be reached and say `why`.
 * kind: "" | primary | quiet | danger; `label` names one that is only a picture.
 */
export function Button({ onClick, kind = "", small, disabled, why, label, expanded, controls, pressed, type = "button", children }) {
  const [busy, setBusy] = useState(false);
  const here = useRef(true);
  const off = disabled || Boolean(why);
  const act = async (event) => {
    if (off || busy) {
      event.preventDefault();
      return;
    }
    const result = onClick?.(event);
    if (!(result instanceof Promise)) return;
    setBusy(true);
    try {
      await result;
    } catch (error) {
      toast(error.message, "bad");
    } finally {
      if (here.current) setBusy(false);
    }
  };
  return html`<button
    type=${type}
    class=${`button ${kind}${small ? " small" : ""}`}
    onClick=${act}
    aria-disabled=${off ? "true" : undefined}
    aria-busy=${busy ? "true" : undefined}
    aria-label=${label}
    aria-expanded=${expanded === undefined ? undefined : String(expanded)}
    aria-controls=${controls}
    aria-pressed=${pressed === undefined ? undefined : String(pressed)}
    title=${why || label}
  >
    ${children}
  </button>`;
}

/** Copies a text. */
export function Copy({ text, label = "Copy", small = true }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<${Button} kind="quiet" small=${small} onClick=${copy}><${Icon} name=${done ? "check" : "copy"} />${done ? "Copied" : label}<//>`;
}
