// The shelves of a user: asked for together, no item on two of them, and what changed since the last time.
import { get, post } from "../../lib/api.js";
import { deed } from "../../lib/events.js";
import { plural, title } from "../../lib/format.js";
import { useCallback, useEffect, useRef, useState } from "../../lib/html.js";
import { keep } from "../../lib/items.js";

const SHOWN = 8;
const ASKED = 40;
const INCLUDE = ["properties", "reasons"];
const DEEDS = { view: "look", cart: "addition to the cart", purchase: "purchase" };

/** {shelves, done (the newest events), act(type, item, answer), change (what the last deed changed), error, reload}. */
export function useShelves(user, options) {
  const [shelves, setShelves] = useState([]);
  const [done, setDone] = useState([]);
  const [change, setChange] = useState(null);
  const [error, setError] = useState(null);
  const asked = useRef(0);
  const before = useRef(null);
  const load = useCallback(
    async (what) => {
      const mine = ++asked.current;
      try {
        const events = (await get("/v1/events", { user_id: user, limit: 30 })).events;
        const found = await allShelves(user, events, options);
        if (mine !== asked.current) return;
        setError(null);
        setDone(events);
        setShelves(found);
        const first = found[0].items.map(({ item_id }) => item_id);
        if (what && before.current) setChange(difference(before.current, first, what));
        before.current = first;
      } catch (problem) {
        if (mine === asked.current) setError(problem);
      }
    },
    [user, JSON.stringify(options)],
  );
  useEffect(() => {
    setChange(null);
    before.current = null;
    load(null);
  }, [load]);
  const act = async (type, item, answer) => {
    await deed(user, type, item, answer);
    await load(`your ${DEEDS[type]} of ${title(item).slice(0, 60)}`);
  };
  return { shelves, done, act, change, error, reload: () => load("your answer") };
}

async function allShelves(user, events, { filter, seen, diversity, scenario }) {
  const request = { user_id: user, limit: SHOWN, include: INCLUDE, exclude_seen: !seen, diversity };
  if (filter) request.filter = filter;
  if (scenario) request.scenario = scenario;
  const more = { limit: ASKED, include: INCLUDE, filter };
  const last = [...new Set(events.map(({ item_id }) => item_id))].slice(0, 2);
  const all = await Promise.all([
    post("/v1/recommendations", request),
    ...last.map((id) => get(`/v1/items/${encodeURIComponent(id)}/similar`, more).catch(gone)),
    get("/v1/trending", more).catch(away),
    get("/v1/popular", more).catch(away),
    get("/v1/latest", more).catch(away),
  ]);
  const ids = ["recommended", ...last.map((_, place) => `similar-${place}`), "trending", "popular", "latest"];
  const onPage = new Set(seen ? [] : last);
  return all.map((answer, place) => {
    const items = answer.items.filter(({ item_id }) => !onPage.has(item_id)).slice(0, SHOWN);
    for (const { item_id } of items) onPage.add(item_id);
    keep(answer.items);
    return { id: ids[place], answer, items, of: place >= 1 && place <= last.length ? last[place - 1] : null, ready: true };
  });
}

/** An item of the history that nobody knows any more has nothing like it. */
function gone(error) {
  if (error.status === 404) return { items: [], warnings: [], status: "ok" };
  throw error;
}

/** A shelf beside the first that cannot be had leaves the others where they are. */
function away(error) {
  if (error.status === 503 || error.status === 429) return { items: [], warnings: [], status: "ok" };
  throw error;
}

function difference(old, now, what) {
  const fresh = now.filter((id) => !old.includes(id)).length;
  const moved = now.filter((id, place) => old.includes(id) && old.indexOf(id) !== place).length;
  if (fresh) return { fresh, words: `${plural(fresh, "item")} of ${now.length} ${fresh === 1 ? "is" : "are"} new since ${what}.` };
  if (moved) return { fresh: moved, words: `No new item, but ${plural(moved, "item")} of ${now.length} moved since ${what}.` };
  return { fresh: 0, words: `The list stands as it was before ${what}.` };
}
