// Items by id, asked for together and held: lists of reasons and histories name many of them again and again.
import { get } from "./api.js";
import { useEffect, useState } from "./html.js";

const held = new Map();
const MOST = 60;
let waiting = null;

/** Has the next question bring these too; resolves when they are there. */
async function bring(ids) {
  const missing = ids.filter((id) => !held.has(id));
  if (!missing.length) return;
  if (!waiting) {
    waiting = { ids: new Set(), done: null };
    const batch = waiting;
    batch.done = Promise.resolve().then(() => {
      waiting = null;
      return ask([...batch.ids]);
    });
  }
  for (const id of missing) waiting.ids.add(id);
  await waiting.done;
}

async function ask(ids) {
  for (let from = 0; from < ids.length; from += MOST) {
    const some = ids.slice(from, from + MOST);
    const filter = `item_id IN (${some.map((id) => `'${id.replaceAll("'", "''")}'`).join(", ")})`;
    if (filter.length > 4000 && some.length > 1) {
      await ask(some.slice(0, some.length >> 1));
      await ask(some.slice(some.length >> 1));
      continue;
    }
    const found = await get("/v1/items", { filter, limit: some.length }).catch(() => ({ items: [] }));
    for (const id of some) held.set(id, { item_id: id, properties: {} });
    for (const item of found.items) held.set(item.item_id, item);
  }
}

/** Keeps items that came with an answer. */
export function keep(items) {
  for (const item of items) if (item.properties) held.set(item.item_id, { ...held.get(item.item_id), ...item });
}

/** The items of some ids, by id; those that are on their way are their ids alone. */
export function useItems(ids) {
  const [, again] = useState(0);
  const key = JSON.stringify([...new Set(ids)].sort());
  useEffect(() => {
    let here = true;
    bring(JSON.parse(key)).then(() => here && again((count) => count + 1));
    return () => (here = false);
  }, [key]);
  return (id) => held.get(id) ?? { item_id: id, properties: {} };
}
