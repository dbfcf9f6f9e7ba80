// Events as the page sends them, and a visitor who has no name yet.
import { post } from "./api.js";

const ANONYMOUS = "anon:";

/** A visitor's made-up user id. */
export const newVisitor = () => `${ANONYMOUS}${crypto.getRandomValues(new Uint32Array(3)).join("-")}`;

export const isVisitor = (user) => user.startsWith(ANONYMOUS);

const sent = new Map();

/**
 * Sends what a user did to an item of an answer. The same deed on the same answer has one id, so that a double click has one effect.
 */
export async function deed(user, type, item, answer) {
  const key = JSON.stringify([user, type, item.item_id, answer?.recommendation_id]);
  if (!sent.has(key)) sent.set(key, `page-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`);
  const event = { event_id: sent.get(key), type, item_id: item.item_id };
  if (isVisitor(user)) event.anonymous_id = user.slice(ANONYMOUS.length);
  else event.user_id = user;
  if (answer?.recommendation_id) Object.assign(event, { recommendation_id: answer.recommendation_id, position: item.rank });
  const taken = await post("/v1/events", { events: [event] });
  if (taken.rejected.length) throw new Error(taken.rejected[0].detail);
  return taken;
}
