// One shelf, its cards, and what may be done to an item.
import { may } from "../../lib/api.js";
import { title } from "../../lib/format.js";
import { html, useLayoutEffect, useRef } from "../../lib/html.js";
import { useItems } from "../../lib/items.js";
import { words } from "../../lib/reasons.js";
import { href } from "../../lib/route.js";
import { Badge, Button, Card, Icon, ItemCard } from "../../ui/index.js";

const TITLES = { recommended: "Recommended for you", trending: "Trending", popular: "Popular", latest: "New" };
const WARNINGS = {
  insufficient_candidates: "fewer items than there is room for",
  filter_relaxed: "filled up without the filter",
  unknown_items: "some items are not known",
};
const FALLBACKS = {
  popular: "Nothing is known of this user that the model can go by, so this is what is popular.",
  latest: "Nothing is known of this user that the model can go by, so this is what is new.",
};

/** A shelf as `useShelves` gives it; `onDeed(type, item, answer)`. */
export function Shelf({ shelf, onDeed }) {
  const { answer, items, of } = shelf;
  const item = useItems([of, ...items.flatMap((one) => (one.reasons ?? []).map(({ item_id }) => item_id))].filter(Boolean));
  const list = useMoving(items.map(({ item_id }) => item_id).join());
  if (!items.length && shelf.id !== "recommended") return null;
  const heading = of ? html`Because of <a href=${href("catalogue", { item: of })}>${title(item(of))}</a>` : TITLES[shelf.id];
  const notes = [
    answer.status === "fallback" && (FALLBACKS[answer.fallback] ?? `A list for everybody: ${answer.fallback}.`),
    answer.status === "degraded" && "A part of the service failed or was late: this list came from less than the whole way.",
    ...answer.warnings.filter((one) => shelf.id === "recommended" || one !== "insufficient_candidates").map((one) => WARNINGS[one] ?? one.replaceAll("_", " ")),
  ].filter(Boolean);
  const made = answer.model && shelf.id === "recommended" ? html`<${Badge}>${answer.model.name} ${answer.model.version || ""} · ${answer.took_ms.toFixed(1)} ms<//>` : null;
  const layout = shelf.id === "recommended" ? { class: "grid", style: { "--least": "150px" } } : { class: "reel", tabindex: 0, role: "group", "aria-label": of ? `Like ${title(item(of))}` : TITLES[shelf.id] };
  return html`<${Card} title=${heading} note=${notes.join(" ")} actions=${made} id=${shelf.id}>
    <div ...${layout} ref=${list} data-shelf=${shelf.id} data-answer=${answer.recommendation_id}>
      ${items.map((one) => html`<${ItemCard} key=${one.item_id} item=${one} rank=${shelf.id === "recommended" ? one.rank : null} note=${(one.reasons ?? []).slice(0, 2).map((reason) => words(reason, item)).join("; ")} actions=${html`<${Deeds} item=${one} answer=${answer} onDeed=${onDeed} />`} />`)}
    </div>
  <//>`;
}

function Deeds({ item, answer, onDeed }) {
  const why = may("events:write") ? null : "This key may not send events: it lacks the scope events:write";
  const button = (type, icon, label) =>
    html`<${Button} small why=${why} label=${`${label}: ${title(item).slice(0, 80)}`} onClick=${() => onDeed(type, item, answer)}><${Icon} name=${icon} />${label}<//>`;
  return html`${button("view", "eye", "View")}${button("cart", "plus", "Cart")}${button("purchase", "cart", "Buy")}`;
}

/** Has the cards glide from where they were, when the list changes. */
function useMoving(order) {
  const list = useRef(null);
  const places = useRef(new Map());
  useLayoutEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const now = new Map();
    for (const card of list.current?.children ?? []) {
      const [id, box] = [card.dataset.item, card.getBoundingClientRect()];
      const at = { x: box.left + scrollX, y: box.top + scrollY };
      now.set(id, at);
      const old = places.current.get(id);
      if (still || places.current.size === 0) continue;
      if (!old) card.animate([{ opacity: 0, transform: "scale(0.94)" }, { opacity: 1, transform: "none" }], { duration: 350, easing: "ease-out" });
      else if (old.x !== at.x || old.y !== at.y)
        card.animate([{ transform: `translate(${old.x - at.x}px, ${old.y - at.y}px)` }, { transform: "none" }], { duration: 450, easing: "ease-in-out" });
    }
    places.current = now;
  }, [order]);
  return list;
}
