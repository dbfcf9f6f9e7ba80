/* Tastemaker for web pages. Apache-2.0
 * const tm = Tastemaker({url: "https://recs.example", key: "tm_…", consent: true});
 * tm.track({item_id: "42"});
 * tm.recommend({limit: 6}).then((answer) => tm.render(shelf, answer, '<a href="/p/{{item_id}}">{{properties.title}}</a>'));
 */
"use strict";
var Tastemaker = ({url = "", key, userId: user, userToken: token, consent = false} = {}) => {
  let memory = {}, sending, timer, failures = 0;

  // Without consent ids and queue live as long as the page.
  const kept = (verb, name, value) => {
    try {
      return consent ? localStorage[verb + "Item"]("tastemaker." + name, value) : null;
    } catch {} // full or forbidden
  };
  const get = (name) => kept("get", name) ?? memory[name];
  const set = (name, value) => kept("set", name, (memory[name] = value));
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16)).join("");
  const anonymousId = () => {
    if (!get("anonymous")) set("anonymous", newId());
    return get("anonymous");
  };
  const sessionId = () => {
    let [id, last] = (get("session") || "").split(" ");
    if (!id || Date.now() - last > 18e5) id = newId();
    set("session", id + " " + Date.now());
    return id;
  };
  const queue = () => {
    try {
      return JSON.parse(get("queue"));
    } catch {
      return [];
    }
  };
  const save = (events) => {
    if (events.length > 500) console.warn("tastemaker: events dropped");
    set("queue", JSON.stringify(events.slice(-500)));
  };

  const post = (path, body) => {
    const headers = {"content-type": "application/json"};
    if (key) headers.authorization = "Bearer " + key;
    if (token) headers["x-user-token"] = token;
    // keepalive outlives the page, as a beacon does, which cannot carry a key
    return fetch(url + path, {method: "POST", headers, body: JSON.stringify(body), credentials: "omit", keepalive: true});
  };

  // Events stay queued until they are durable; each has an id, so none counts twice.
  const flush = async () => {
    clearTimeout(timer);
    timer = undefined;
    const events = queue().slice(0, 50);
    if (!events.length || sending) return;
    sending = true;
    let wait = 1;
    try {
      const got = await post("/v1/events", {events});
      if (got.status > 499 || [401, 403, 408, 429].includes(got.status)) wait = 1000 * (got.headers.get("retry-after") || 1);
      else {
        const rejected = got.ok ? (await got.json()).rejected : [got.status];
        if (rejected.length) console.warn("tastemaker: events refused", rejected);
        const sent = new Set(events.map((event) => event.event_id));
        save(queue().filter((event) => !sent.has(event.event_id)));
        failures = wait = 0;
      }
    } catch {}
    sending = false;
    if (wait) failures++;
    if (queue().length) later(wait && wait + Math.random() * Math.min(3e4, 500 * 2 ** failures));
  };
  const later = (ms) => (timer ??= setTimeout(flush, ms));

  const track = (event) => {
    const who = event.user_id || event.anonymous_id ? {} : user ? {user_id: user} : {anonymous_id: anonymousId()};
    const whole = {type: "view", event_id: newId(), session_id: sessionId(), timestamp: Date.now() / 1000, ...who, ...event};
    save([...queue(), whole]);
    later(50);
    return whole.event_id;
  };

  const recommend = async (request = {}) => {
    const whose = request.events ? {} : {user_id: user || "anon:" + anonymousId()};
    const got = await post(request.events ? "/v1/sessions/recommendations" : "/v1/recommendations", {...whose, include: ["properties"], ...request});
    const answer = await got.json().catch(() => ({}));
    if (got.ok) return answer;
    throw Object.assign(new Error(answer.detail || got.status), answer, {status: got.status});
  };

  // Put in as text after the template was parsed, so what items hold is never markup.
  const at = (part, path) => path.split(".").reduce((one, name) => (Object.hasOwn(Object(one), name) ? one[name] : ""), part) ?? "";
  const fill = (text, item) => text.replace(/{{\s*([\w.]+)\s*}}/g, (_, path) => at(item, path));
  const PLAIN = /^(alt|title|class|id|value|width|height|lang|(data|aria)-[\w-]+)$/, SAFE = /^(https?:|[^:/?#]*([/?#]|$))/i;
  const put = (node, item) => {
    for (const one of [...node.childNodes]) {
      if (one.data) one.data = fill(one.data, item);
      if (!one.attributes) continue;
      if (/^(script|style)$/i.test(one.localName)) one.remove();
      for (const {name, value} of [...one.attributes]) {
        if (!value.includes("{{")) continue;
        const filled = fill(value, item);
        const safe = PLAIN.test(name) || (/^(href|src)$/.test(name) && SAFE.test(filled.replace(/[\0- ]/g, "")));
        one[safe ? "setAttribute" : "removeAttribute"](name, filled);
      }
      put(one, item);
    }
  };
  const render = (element, answer, template) => {
    const held = document.createElement("template");
    held.innerHTML = template;
    element.replaceChildren(...answer.items.map((item) => {
      const box = document.createElement("div");
      box.append(held.content.cloneNode(true));
      put(box, item);
      box.addEventListener("click", () => {
        track({type: "click", item_id: item.item_id, position: item.rank, recommendation_id: answer.recommendation_id});
        flush();
      });
      return box;
    }));
  };

  const setConsent = (given) => {
    if (given) {
      const held = consent ? {} : memory;
      consent = true;
      for (const name in held) set(name, held[name]);
    } else {
      for (const name of ["anonymous", "session", "queue"]) kept("remove", name);
      consent = false;
      memory = {};
    }
  };

  addEventListener("pagehide", flush);
  if (queue().length) later(0);
  const setUser = (id, signed) => ([user, token] = [id, signed]);
  return {track, recommend, render, flush, setConsent, setUser, anonymousId, sessionId, queue};
};
