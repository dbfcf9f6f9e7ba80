// A list of recommendations in rows: what stands where, and one click to why.
import { number, title } from "../../lib/format.js";
import { html } from "../../lib/html.js";
import { href } from "../../lib/route.js";
import { Badge, Button } from "../../ui/index.js";

/** By how many ranks something stands higher than elsewhere, in words; `null`: it is not there. */
export function Move({ by, fresh = "new" }) {
  if (by === null) return html`<${Badge} tone="info">+ ${fresh}<//>`;
  if (by === 0) return html`<span class="small quiet">=<span class="visually-hidden"> same rank</span></span>`;
  return html`<${Badge} tone=${by > 0 ? "good" : "warn"}>${by > 0 ? "▲" : "▼"} ${Math.abs(by)}<span class="visually-hidden"> ${by > 0 ? "higher" : "lower"}</span><//>`;
}

/** `items` as answers have them; `moves` beside them; `lit` is the item that is marked in all lists, `note(item)` a few words. */
export function Rows({ items, moves, fresh, lit, onLit, note, onWhy, label }) {
  if (!items.length) return html`<p class="quiet">An empty list.</p>`;
  return html`<ol class="inspected" aria-label=${label}>
    ${items.map(
      (item, place) =>
        html`<li
          key=${item.item_id}
          data-item=${item.item_id}
          class=${lit === item.item_id ? "lit" : undefined}
          onMouseEnter=${() => onLit?.(item.item_id)}
          onMouseLeave=${() => onLit?.(null)}
          onFocusCapture=${() => onLit?.(item.item_id)}
          onBlurCapture=${() => onLit?.(null)}
        >
          <span class="number quiet">${item.rank}</span>
          <span class="grow wrap">
            <a href=${href("catalogue", { item: item.item_id })}>${title(item)}</a>
            <span class="small quiet row tight">
              <span>${item.source}</span>${Number.isFinite(item.score) && html`<span title="the model's own score">${number(item.score, 4)}</span>`}
              ${note && html`<span>${note(item)}</span>`}
            </span>
          </span>
          ${moves && html`<${Move} by=${moves[place]} fresh=${fresh} />`}
          <${Button} kind="quiet" small label=${`Why: ${title(item).slice(0, 80)}`} onClick=${() => onWhy(item.item_id)}>Why?<//>
        </li>`,
    )}
  </ol>`;
}
