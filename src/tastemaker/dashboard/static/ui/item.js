import { category } from "../lib/colours.js";
import { title } from "../lib/format.js";
import { html, useState } from "../lib/html.js";
import { href } from "../lib/route.js";
import { pictureOf } from "../lib/safe.js";

/** The picture of an item, or its first letters. */
export function Picture({ item, rank }) {
  const [failed, setFailed] = useState(false);
  const source = failed ? null : pictureOf(item);
  const letters = title(item).match(/\p{L}|\p{N}/gu)?.slice(0, 2).join("").toUpperCase() ?? "";
  const tint = category([...letters].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 8);
  return html`<div class="picture" style=${{ background: `color-mix(in oklab, ${tint} 16%, var(--sunk))` }}>
    <span aria-hidden="true">${letters}</span>
    ${source && html`<img src=${source} alt="" loading="lazy" decoding="async" referrerpolicy="no-referrer" onError=${() => setFailed(true)} />`}
    ${rank && html`<span class="rank"><span class="visually-hidden">rank </span>${rank}</span>`}
  </div>`;
}

/** An item as a shopper would see it; `note` stands below the title, `actions` at the foot. */
export function ItemCard({ item, rank, note, actions, link = true, children }) {
  const name = title(item);
  const properties = item.properties ?? {};
  const facts = [properties.price !== undefined && `${properties.price}`, ...[properties.categories ?? properties.category ?? []].flat().slice(0, 2)];
  return html`<article class="item" data-item=${item.item_id}>
    <${Picture} item=${item} rank=${rank} />
    <h3 title=${name}>${link ? html`<a href=${href("catalogue", { item: item.item_id })}>${name}</a>` : name}</h3>
    ${facts.some(Boolean) && html`<p class="small quiet wrap">${facts.filter(Boolean).join(" · ")}</p>`}
    ${note && html`<p class="small wrap">${note}</p>`}
    ${children}
    ${actions && html`<div class="actions">${actions}</div>`}
  </article>`;
}
