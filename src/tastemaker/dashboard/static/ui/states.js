import { html } from "../lib/html.js";
import { Button } from "./button.js";
import { Icon } from "./icon.js";

/** Nothing to show: what is missing, and what to do next. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h3>${title}</h3>${children}</div>`;
}

const WORDS = {
  0: "The service does not answer. Is it still running?",
  401: "The key is not known any more.",
  403: "The key may not look at this.",
  404: "There is nothing here.",
  429: "Too many requests at the moment.",
  503: "The service is busy, or its store is away.",
};

/** What went wrong, in the service's own words, and a way out. */
export function Problem({ error, retry }) {
  const words = WORDS[error.status] ?? error.title ?? "Something failed";
  return html`<div class="note bad" role="alert">
    <${Icon} name="alert" />
    <div class="stack tight grow">
      <strong>${words}</strong>
      ${error.detail && error.detail !== words && html`<span>${error.detail}</span>`}
      ${retry && html`<div><${Button} small onClick=${retry}>Try again<//></div>`}
    </div>
  </div>`;
}

/** Where something is on its way. */
export function Loading({ rows = 3, label = "Loading" }) {
  return html`<div class="stack tight" role="status" aria-label=${label}>
    ${Array.from({ length: rows }, (_, row) => html`<div class="bone" key=${row} style=${{ width: `${92 - ((row * 17) % 40)}%` }}></div>`)}
  </div>`;
}
