// An edited history in few words, so that it fits an address: runs of the events as they are, and what was changed or added.
//
//   0-41,43,+view:85123A,42:purchase      events 0 to 41, 43; a view of 85123A; event 42 as a purchase. 0 is the oldest.

const KIND = /^[A-Za-z][\w.-]{0,63}$/; // what the service takes for a kind of event
const escaped = (text) => encodeURIComponent(text).replaceAll(":", "%3A");

/** The text of rows {at, item_id, type}: `at` is the place of the event they come from, null of what was added. Null where nothing changed. */
export function written(rows, events) {
  const whole = rows.length === events.length && rows.every((row, place) => row.at === place && row.type === events[place].type);
  if (whole) return null;
  const parts = [];
  let run = null;
  for (const { at, item_id, type } of rows) {
    if (at !== null && type === events[at].type) {
      if (run && at === run[1] + 1) run[1] = at;
      else parts.push((run = [at, at]));
      continue;
    }
    run = null;
    parts.push(at === null ? `+${escaped(type)}:${escaped(item_id)}` : `${at}:${escaped(type)}`);
  }
  return parts.map((part) => (Array.isArray(part) ? (part[0] === part[1] ? `${part[0]}` : part.join("-")) : part)).join(",") || "none";
}

/** The rows of a text over the events, oldest first; what makes no sense is left out. */
export function read(text, events) {
  const own = (at, type = events[at]?.type) => (events[at] && KIND.test(type) ? [{ at, item_id: events[at].item_id, type }] : []);
  const added = (item_id, type) => (KIND.test(type) ? [{ at: null, item_id, type }] : []);
  if (!text) return events.flatMap((_, at) => own(at));
  return text.split(",").flatMap((part) => {
    try {
      let found = part.match(/^\+([^:]+):(.+)$/);
      if (found) return added(decodeURIComponent(found[2]), decodeURIComponent(found[1]));
      found = part.match(/^(\d+):(.+)$/);
      if (found) return own(Number(found[1]), decodeURIComponent(found[2]));
      found = part.match(/^(\d+)(?:-(\d+))?$/);
      if (!found) return [];
      const [from, to] = [Number(found[1]), Math.min(Number(found[2] ?? found[1]), events.length - 1)];
      return Array.from({ length: Math.max(0, to - from + 1) }, (_, step) => own(from + step)).flat();
    } catch {
      return [];
    }
  });
}
