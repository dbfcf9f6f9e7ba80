// The address after #: a page and what it shows, so that a link shows the same to somebody else.
import { useEffect, useState } from "./html.js";

/** {page, params} of the address. */
export function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page: path || "overview", params: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a page; what is null, undefined or empty is left out. */
export function href(page, params = {}) {
  const set = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(set).toString();
  return `#/${page}${query ? `?${query}` : ""}`;
}

/** Goes to a page. */
export function go(page, params) {
  location.hash = href(page, params);
}

/** Changes what the page shows, without a step in the browser's history unless `step`. */
export function setParams(changes, { step = false } = {}) {
  const { page, params } = route();
  const to = href(page, { ...params, ...changes });
  if (to === location.hash) return;
  if (step) location.hash = to;
  else {
    history.replaceState(null, "", to);
    dispatchEvent(new HashChangeEvent("hashchange"));
  }
}

/** The address as state. */
export function useRoute() {
  const [now, setNow] = useState(route());
  useEffect(() => {
    const follow = () => setNow(route());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return now;
}
