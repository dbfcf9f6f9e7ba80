// Questions with a body, as state of a component, and what all questions of the page have in common.
import { api, post } from "../../lib/api.js";
import { html, useCallback, useEffect, useRef, useState } from "../../lib/html.js";
import { Copy } from "../../ui/index.js";

export const INCLUDE = ["properties", "score", "reasons"];
export const LENGTHS = [5, 10, 20, 50];

/** The request that the address describes; what is left to the service is left out. */
export function requestOf({ user, limit, filter, seen, scenario }) {
  const request = { user_id: user, limit: LENGTHS.includes(Number(limit)) ? Number(limit) : 10, include: INCLUDE };
  if (filter) request.filter = filter;
  if (scenario) request.scenario = scenario;
  if (seen === "all") request.exclude_seen = false;
  return request;
}

/** What a path answers to a body; null asks nothing. The last answer stays while another is on its way. */
export function useAsk(path, body) {
  const [state, setState] = useState({ data: null, error: null, loading: body !== null });
  const key = body === null ? null : JSON.stringify(body);
  const asked = useRef(0);
  const reload = useCallback(async () => {
    const mine = ++asked.current;
    if (key === null) {
      setState({ data: null, error: null, loading: false });
      return;
    }
    setState((before) => ({ ...before, loading: true }));
    try {
      const data = await post(path, JSON.parse(key));
      if (mine === asked.current) setState({ data, error: null, loading: false });
    } catch (error) {
      if (mine === asked.current) setState({ data: null, error, loading: false });
    }
  }, [path, key]);
  useEffect(() => {
    reload();
    return () => void asked.current++;
  }, [reload]);
  return { ...state, reload };
}

/** The question as a line for a shell. */
export const Curl = ({ method = "POST", path, body }) => html`<${Copy} label="curl" text=${api.curl(method, path, body)} />`;
