import { GLOSSARY } from "../lib/glossary.js";
import { html, useRef } from "../lib/html.js";
import { useId } from "./field-id.js";

/** A question mark that explains a word: a `term` of the glossary, or a `text`. */
export function Tip({ term, text }) {
  const id = useId();
  const button = useRef(null);
  const words = text ?? GLOSSARY[term];
  if (!words) return null;
  const place = (event) => {
    if (event.newState !== "open") return;
    const [box, from] = [event.target, button.current.getBoundingClientRect()];
    box.style.left = `${Math.max(16, Math.min(from.left, innerWidth - box.offsetWidth - 16))}px`;
    const below = from.bottom + 6 + box.offsetHeight < innerHeight;
    box.style.top = `${below ? from.bottom + 6 : from.top - 6 - box.offsetHeight}px`;
  };
  return html`<span class="tip">
    <button type="button" ref=${button} popovertarget=${id} aria-label=${`What is ${term ?? "this"}?`}>?</button>
    <span popover="auto" id=${id} role="note" onToggle=${place}>${words}</span>
  </span>`;
}
