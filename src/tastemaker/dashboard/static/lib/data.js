// Data of the API as state of a component.
import { get, stream } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./html.js";

/**
 * What a path answers: {data, error, loading, reload}. A null path asks nothing. With `every` seconds it is asked again and again while
 * the tab is seen. While it is asked anew the last data stay.
 */
export function useLoad(path, query, { every } = {}) {
  const [state, setState] = useState({ data: null, error: null, loading: path !== null });
  const key = JSON.stringify([path, query]);
  const asked = useRef(0);
  const reload = useCallback(async () => {
    if (path === null) {
      setState({ data: null, error: null, loading: false });
      return null;
    }
    const mine = ++asked.current;
    setState((before) => ({ ...before, loading: true }));
    try {
      const data = await get(path, query);
      if (mine === asked.current) setState({ data, error: null, loading: false });
      return data;
    } catch (error) {
      if (mine === asked.current) setState((before) => ({ ...before, error, loading: false }));
      return null;
    }
  }, [key]);
  useEffect(() => {
    setState({ data: null, error: null, loading: path !== null });
    reload();
    if (!every || path === null) return () => void asked.current++;
    const timer = setInterval(() => document.hidden || reload(), every * 1000);
    return () => {
      asked.current++;
      clearInterval(timer);
    };
  }, [key, every]);
  return { ...state, reload };
}

/** The rows of a list that is paged by cursor: {rows, more, next, error, loading, reload}; `next` brings the next page. */
export function usePages(path, query, field) {
  const empty = { rows: [], cursor: null, error: null, loading: path !== null };
  const [state, setState] = useState(empty);
  const key = JSON.stringify([path, query, field]);
  const asked = useRef(0);
  const page = useCallback(
    async (cursor) => {
      if (path === null) return;
      const mine = ++asked.current;
      setState((before) => ({ ...before, loading: true }));
      try {
        const data = await get(path, cursor ? { ...query, cursor } : query);
        if (mine !== asked.current) return;
        setState((before) => ({
          rows: cursor ? [...before.rows, ...data[field]] : data[field],
          cursor: data.next_cursor,
          error: null,
          loading: false,
          reply: data,
        }));
      } catch (error) {
        if (mine === asked.current) setState((before) => ({ ...before, error, loading: false }));
      }
    },
    [key],
  );
  useEffect(() => {
    setState(empty);
    page(null);
    return () => void asked.current++;
  }, [key]);
  return {
    ...state,
    more: Boolean(state.cursor),
    next: () => page(state.cursor),
    reload: () => page(null),
  };
}

/** Hears server-sent events while the component is shown; returns whether it hears. */
export function useStream(path, query, onEvent) {
  const [hears, setHears] = useState(false);
  const latest = useRef(onEvent);
  latest.current = onEvent;
  useEffect(() => {
    if (path === null) return undefined;
    return stream(path, query, (name, data) => latest.current(name, data), setHears);
  }, [JSON.stringify([path, query])]);
  return hears;
}

/** A value that follows another one only after it has stood still for some milliseconds. */
export function useSettled(value, milliseconds = 200) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value, milliseconds]);
  return settled;
}
