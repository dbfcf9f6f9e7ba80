import { html, useEffect, useState } from "../lib/html.js";
import { Note } from "./facts.js";

const told = new EventTarget();

/** Says something in passing, at the page's corner. */
export function toast(text, tone = "good") {
  told.dispatchEvent(new CustomEvent("toast", { detail: { text, tone, id: crypto.randomUUID?.() ?? Math.random() } }));
}

/** Where it is said. */
export function Toasts() {
  const [toasts, setToasts] = useState([]);
  useEffect(() => {
    const add = ({ detail }) => {
      setToasts((before) => [...before, detail]);
      setTimeout(() => setToasts((before) => before.filter(({ id }) => id !== detail.id)), 6000);
    };
    told.addEventListener("toast", add);
    return () => told.removeEventListener("toast", add);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">${toasts.map(({ id, text, tone }) => html`<${Note} key=${id} tone=${tone}>${text}<//>`)}</div>`;
}
