// The service's API, as JSON in and out. The key is kept for this tab alone, and never in an address.
const KEY = "tastemaker-key";

/** A problem the service answered with (RFC 9457), or that it could not be reached (status 0). */
export class ApiError extends Error {
  constructor(problem) {
    super(problem.detail || problem.title);
    Object.assign(this, { status: 0, code: "", title: "", detail: "", errors: [], ...problem });
  }
}

let me = { key_id: null, scopes: [], open: false };
let lost = () => {};

/** Who asks: {key_id, scopes, open}; of the last `whoAmI`. */
export const identity = () => me;

/** Whether the key may do what routes of a scope do. */
export const may = (scope) => me.scopes.includes(scope) || me.scopes.includes("admin");

/** Asks the service who the key belongs to; throws ApiError 401 where it needs another. */
export async function whoAmI() {
  me = await get("/v1/me");
  dispatchEvent(new Event("identity"));
  return me;
}

/** Takes another key (null: none). */
export function setKey(secret) {
  if (secret) sessionStorage.setItem(KEY, secret);
  else sessionStorage.removeItem(KEY);
}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Calls `callback` when the key is no longer good. */
export function onLost(callback) {
  lost = callback;
}

export const get = (path, query) => send("GET", address(path, query));
export const post = (path, body = {}) => send("POST", path, body);
export const put = (path, body = {}) => send("PUT", path, body);
export const patch = (path, body = {}) => send("PATCH", path, body);
export const del = (path) => send("DELETE", path);

/** A path with what is set of `query`; lists are joined by commas. */
export function address(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(Array.isArray(value) ? value.join(",") : value)}`);
  return text.length ? `${path}?${text.join("&")}` : path;
}

/** The bytes of a binary answer. */
export async function bytes(path, query) {
  return (await answered(address(path, query), {})).arrayBuffer();
}

async function send(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "content-type": "application/json" };
  }
  const answer = await answered(path, options);
  return answer.status === 204 ? null : answer.json();
}

async function answered(path, options) {
  const headers = { ...options.headers };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ code: "unreachable", title: "The service does not answer", detail: "Is it still running?" });
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ title: answer.statusText, status: answer.status }));
  if (answer.status === 401) lost();
  throw new ApiError({ ...problem, status: answer.status });
}

/**
 * Listens to server-sent events of a path until the function it returns is called; comes back by itself after a break.
 * `onEvent(name, data)`; `onState(true | false)` says whether it hears.
 */
export function stream(path, query, onEvent, onState = () => {}) {
  const stop = new AbortController();
  const run = async () => {
    for (let wait = 500; !stop.signal.aborted; wait = Math.min(wait * 2, 15000)) {
      try {
        const answer = await answered(address(path, query), { signal: stop.signal });
        onState(true);
        wait = 500;
        await read(answer.body, onEvent);
      } catch (error) {
        if (error.status === 401 || error.status === 403) return;
      }
      if (stop.signal.aborted) return;
      onState(false);
      await new Promise((done) => setTimeout(done, wait));
    }
  };
  run();
  return () => stop.abort();
}

async function read(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const event of whole) {
      const lines = event.split("\n").filter((line) => !line.startsWith(":"));
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2));
      if (lines.length) onEvent(field("event")[0], JSON.parse(field("data").join("\n")));
    }
  }
}

/** The same request as a line for a shell; the key is left as $KEY. */
export function curl(method, path, body) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = ["curl"];
  if (method !== "GET" && !(method === "POST" && body !== undefined)) parts.push("-X", method);
  if (!me.open) parts.push('-H "Authorization: Bearer $KEY"');
  parts.push(quoted(location.origin + path));
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", "-d", quoted(JSON.stringify(body)));
  return parts.join(" ");
}

export const api = { get, post, put, patch, del, bytes, stream, may, curl, address, identity };
