import { get } from "../lib/api.js";
import { useSettled } from "../lib/data.js";
import { plural, title } from "../lib/format.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { useId } from "./field-id.js";
import { Icon } from "./icon.js";

const SHOWN = 8;

/**
 * A line that finds items as one types: arrow keys move, Enter picks, Escape closes. `onPick` gets the item as GET /v1/items gives it
 * (item_id, properties, categories…), and the line empties, or holds the item's name with `keep`. `value` is the text to begin with,
 * `listed` a list of the catalogue to search in, such as "available". The label is seen unless `bare`.
 */
export function ItemSearch({ label = "Find an item", placeholder = "Words of its title, or its id", value = "", keep, listed, bare, onPick }) {
  const [text, setText] = useState(value);
  const [open, setOpen] = useState(false);
  const [found, setFound] = useState(null);
  const [active, setActive] = useState(0);
  const id = useId();
  const asked = useRef(0);
  const query = useSettled(text.trim(), 150);

  useEffect(() => setText(value), [value]);
  useEffect(() => {
    const mine = ++asked.current;
    if (!open || !query) {
      setFound(null);
      return;
    }
    const ask = (again) =>
      get("/v1/items", { query, list: listed, limit: SHOWN, include: "numbers" }).then(
        (reply) => {
          if (mine !== asked.current) return; // what is no longer asked
          setFound(reply);
          setActive(0);
          // the first search of a service has the catalogue taken in, which takes seconds where it is large
          if (!reply.items.length && again) setTimeout(() => mine === asked.current && ask(again - 1), 700);
        },
        (error) => mine === asked.current && setFound({ items: [], error }),
      );
    ask(4);
  }, [query, open, listed]);

  const items = (open && found?.items) || [];
  const pick = (item) => {
    setOpen(false);
    setText(keep ? title(item) : "");
    onPick(item);
  };
  const keys = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setOpen(true);
      if (items.length) setActive((active + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length);
    } else if (event.key === "Enter" && items[active]) {
      event.preventDefault();
      pick(items[active]);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
    }
  };
  const type = (event) => {
    setText(event.target.value);
    setOpen(true);
  };
  return html`<div class="field">
    <label for=${id} class=${bare ? "visually-hidden" : ""}>${label}</label>
    <div class="search">
      <${Icon} name="search" />
      <input
        id=${id}
        class="input"
        type="search"
        role="combobox"
        autocomplete="off"
        spellcheck="false"
        placeholder=${placeholder}
        value=${text}
        aria-autocomplete="list"
        aria-expanded=${String(items.length > 0)}
        aria-controls=${`${id}-list`}
        aria-activedescendant=${items[active] ? `${id}-${active}` : undefined}
        onInput=${type}
        onFocus=${() => setOpen(true)}
        onBlur=${() => setOpen(false)}
        onKeyDown=${keys}
      />
      <ul class="listbox" id=${`${id}-list`} role="listbox" aria-label=${label} hidden=${!items.length}>
        ${items.map(
          (item, place) =>
            html`<li
              key=${item.item_id}
              id=${`${id}-${place}`}
              role="option"
              aria-selected=${String(place === active)}
              onMouseDown=${(event) => event.preventDefault()}
              onMouseMove=${() => setActive(place)}
              onClick=${() => pick(item)}
            >
              <div>${title(item)}</div>
              <div class="small quiet">${note(item)}</div>
            </li>`,
        )}
      </ul>
    </div>
    <div class="hint" role="status">${open && found ? said(found, query) : ""}</div>
  </div>`;
}

function note({ item_id, categories, numbers }) {
  const state = numbers && numbers.state !== "available" ? numbers.state : null;
  return [item_id, categories[0], numbers && plural(numbers.events, "event"), state].filter(Boolean).join(" · ");
}

function said({ items, total, error }, query) {
  if (error) return error.message;
  if (!items.length) return `No item has all the words of “${query}”`;
  return total > items.length ? `${plural(items.length, "item")} of ${total.toLocaleString("en")}, the best first` : plural(total, "item");
}
