import { html } from "../lib/html.js";

/** A page: its title, what it is for in a sentence, and what may be done. */
export function Page({ title, lead, actions, children }) {
  return html`<div class="page">
    <header>
      <div class="grow">
        <h1>${title}</h1>
        ${lead && html`<p>${lead}</p>`}
      </div>
      ${actions && html`<div class="row tight">${actions}</div>`}
    </header>
    <div class="stack">${children}</div>
  </div>`;
}

/** A part of a page. `id` is where links lead; `label` names a card without a title. */
export function Card({ title, note, actions, id, label, children }) {
  return html`<section class="card" id=${id} aria-label=${title ? undefined : label}>
    ${(title || actions) &&
    html`<header>
      ${title && html`<h2>${title}</h2>`} ${actions && html`<div class="row tight">${actions}</div>`} ${note && html`<p>${note}</p>`}
    </header>`}
    ${children}
  </section>`;
}
