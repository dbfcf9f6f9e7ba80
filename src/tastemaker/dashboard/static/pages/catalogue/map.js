// The map of the items: who lies together is alike. Drawn in pixels; what is seen is also a list for who does not see it.
import { bytes, get } from "../../lib/api.js";
import { category as colourOf, onTheme, resolved } from "../../lib/colours.js";
import { useLoad, useSettled } from "../../lib/data.js";
import { number, plural, share } from "../../lib/format.js";
import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { setParams } from "../../lib/route.js";
import { Button, Card, Empty, Icon, Loading, Note, Problem, Tip } from "../../ui/index.js";
import { Drawing, parts } from "./drawing.js";
import { inside, largest, nearest, parsed } from "./points.js";

const REACH = 12; // pixels from a point at which it is meant
const LISTED = 12;
const open = (item_id) => setParams({ item: item_id }, { step: true });
const othersOf = (legend) => colourOf(legend.some.length ? 8 : 0); // grey beside colours only
const nameOf = (item) => item.title || item.item_id;

export function ItemMap({ asked }) {
  const { data: told, error, reload } = useLoad("/v1/catalogue/map");
  const [points, setPoints] = useState(null);
  const [failed, setFailed] = useState(null);
  useEffect(() => {
    if (told?.state !== "computing") return undefined;
    const timer = setTimeout(reload, 1500);
    return () => clearTimeout(timer);
  }, [told]);
  useEffect(() => {
    if (told?.state !== "ready") return;
    bytes("/v1/catalogue/map/points").then((buffer) => setPoints(parsed(buffer)), setFailed);
  }, [told?.map]);
  const problem = failed ?? (told ? null : error);
  if (problem) return html`<${Card} label="Map"><${Problem} error=${problem} retry=${reload} /><//>`;
  if (told?.state === "unavailable") return html`<${Card} label="Map"><${Empty} title="There is no map"><p>It cannot be made: ${told.detail}.</p><p>Train a model on the page Models; then there is one within a minute.</p><//><//>`;
  if (told?.state === "computing") return html`<${Card} label="Map"><${Note}>${plural(told.items, "item")} are being laid out, in the background: half a minute for 100,000. The map appears by itself.<//><${Loading} rows=${6} label="The map is being made" /><//>`;
  if (!points) return html`<${Card} label="Map"><${Loading} rows=${8} /><//>`;
  return html`<${Shown} key=${points.map} points=${points} told=${told} asked=${asked} />`;
}

function Shown({ points, told, asked }) {
  const canvas = useRef(null);
  const drawing = useRef(null);
  const frame = useRef(0);
  const [moved, setMoved] = useState(0);
  const [chosen, setChosen] = useState([]);
  const [hover, setHover] = useState(null);
  const [theme, setTheme] = useState(0);
  const lit = useLit(points, asked);
  const legend = useMemo(() => largest(points), [points]);
  const slots = useMemo(() => slotsOf(points, legend, chosen), [points, legend, chosen]);
  const colours = useMemo(() => ({ palette: [...legend.some.map((_, at) => colourOf(at)), othersOf(legend)].map((one) => parts(resolved(one))), page: parts(resolved("--sunk")), accent: parts(resolved("--bad")) }), [legend, theme]);
  const latest = useRef(null);
  latest.current = () => {
    const took = drawing.current.draw(points, slots, colours.palette, colours.page, lit?.points, colours.accent);
    canvas.current.dataset.milliseconds = took.toFixed(1);
  };
  const redraw = (now = true) => {
    if (!frame.current) {
      frame.current = requestAnimationFrame(() => {
        frame.current = 0;
        if (!drawing.current) return;
        drawing.current.resize();
        latest.current();
      });
    }
    if (now) setMoved((count) => count + 1);
  };
  useEffect(() => {
    drawing.current = new Drawing(canvas.current);
    const watch = new ResizeObserver(() => redraw());
    watch.observe(canvas.current);
    const stop = onTheme(() => setTheme((count) => count + 1));
    return () => {
      watch.disconnect();
      stop();
      cancelAnimationFrame(frame.current);
      drawing.current = null;
    };
  }, []);
  useEffect(() => redraw(), [slots, colours, lit]);
  const zoom = (factor, left = canvas.current.clientWidth / 2, top = canvas.current.clientHeight / 2) => {
    drawing.current.zoomAt(factor, left, top);
    redraw();
  };
  const whole = () => {
    Object.assign(drawing.current, { x: 32767, y: 32767, zoom: 1 });
    redraw();
  };
  const point = useRef({});
  useGestures(canvas, drawing, { redraw, zoom, onPoint: (left, top, pick) => look(left, top, pick) });
  const look = (left, top, pick) => {
    const [x, y] = drawing.current.place(left, top);
    const found = left === null ? -1 : nearest(points, x, y, (REACH * drawing.current.density) / drawing.current.scale);
    if (found < 0 || slots[found] === 255) {
      point.current = {};
      setHover(null);
      return;
    }
    const [atLeft, atTop] = drawing.current.pixel(points.x[found], points.y[found]);
    const known = point.current.point === found ? point.current.item : null;
    point.current = { point: found, item: known };
    setHover({ left: atLeft, top: atTop, item: known });
    const told = known ? Promise.resolve(known) : itemsOf(points, [found]).then(([item]) => item);
    told.then((item) => {
      if (point.current.point !== found || !item) return;
      point.current.item = item;
      setHover({ left: atLeft, top: atTop, item });
      if (pick) open(item.item_id);
    });
  };
  const keys = (event) => {
    const { width, height } = canvas.current;
    const step = 0.15 / drawing.current.scale;
    const does = {
      ArrowLeft: () => drawing.current.move(-width * step, 0),
      ArrowRight: () => drawing.current.move(width * step, 0),
      ArrowUp: () => drawing.current.move(0, height * step),
      ArrowDown: () => drawing.current.move(0, -height * step),
      "+": () => zoom(1.5),
      "=": () => zoom(1.5),
      "-": () => zoom(1 / 1.5),
      0: whole,
    }[event.key];
    if (!does || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    does();
    redraw();
  };
  const choose = (slot) => setChosen(chosen.includes(slot) ? chosen.filter((one) => one !== slot) : [...chosen, slot]);
  const words = `Map of ${plural(points.points, "item")}. Arrow keys move it, plus and minus zoom, zero shows all of it. What is seen is listed below.`;
  return html`<${Card} title=${html`Map of ${plural(points.points, "item")} <${Tip} term="item map" />`} label="Map" note=${about(told, points)}>
    <div class="stack">
      <${Legend} legend=${legend} chosen=${chosen} onChoose=${choose} onAll=${() => setChosen([])} />
      ${lit && html`<p class="small" role="status" data-part="lit">${lit.error ? lit.error.message : `${plural(lit.total, "item")} on the map ${lit.total === 1 ? "is" : "are"} lit up${lit.points.length < lit.total ? `, the first ${number(lit.points.length)} of them` : ""}.`}</p>`}
      <div class="map" data-part="map">
        <canvas ref=${canvas} tabindex="0" role="application" aria-label=${words} onKeyDown=${keys}></canvas>
        <div class="map-buttons">
          <${Button} small label="Zoom in" onClick=${() => zoom(1.6)}><${Icon} name="plus" /><//>
          <${Button} small label="Zoom out" onClick=${() => zoom(1 / 1.6)}><${Icon} name="minus" /><//>
          <${Button} small label="All of the map" onClick=${whole}><${Icon} name="refresh" /><//>
        </div>
        ${hover?.item && html`<${Hover} ...${hover} canvas=${canvas.current} />`}
      </div>
      <${InView} points=${points} slots=${slots} drawing=${drawing} moved=${moved} />
    </div>
  <//>`;
}

/** What the map shows, and how far it is to be trusted. */
function about({ source, model, version, quality, items }, points) {
  const name = `${model}${version ? ` ${version}` : ""}`;
  const by = source === "vectors" ? `Items lie together that are alike to ${name}, by its vectors of them.` : `${name} has no vectors of items, so items lie together that the same users met.`;
  const some = points.points < items ? ` ${number(points.points)} of the ${number(items)} items it knows are on it.` : "";
  return `${by}${some} Of the ${quality.neighbours} most alike, ${share(quality.recall, 0)} are among the ${quality.neighbours} nearest here (${share(quality.components_recall, 0)} with two principal components); trustworthiness ${number(quality.trustworthiness, 2)}. How far apart groups lie means little.`;
}

/** The place of each point in the palette: a large category's, or the last for all others; 255 where the legend leaves it out. */
function slotsOf({ category }, { some }, chosen) {
  const rest = some.length;
  const slot = new Uint8Array(65536).fill(rest);
  some.forEach(({ code }, at) => (slot[code] = at));
  if (chosen.length) for (let code = 0; code < slot.length; code++) if (!chosen.includes(slot[code])) slot[code] = 255;
  return Uint8Array.from(category, (code) => slot[code]);
}

/** The points that the search, the list and the category hold; null where nothing is asked for. */
function useLit(points, { query, list, category }) {
  const [found, setFound] = useState(null);
  const asks = query || category || list !== "all";
  useEffect(() => {
    let here = true;
    setFound(null);
    if (asks) {
      get("/v1/catalogue/map/search", { map: points.map, query, category, list }).then(
        (reply) => here && setFound(reply),
        (error) => here && setFound({ points: [], total: 0, error }),
      );
    }
    return () => (here = false);
  }, [points, query, list, category]);
  return found;
}

const itemsOf = async (points, some) => (await get("/v1/catalogue/map/items", { map: points.map, points: some })).items;

function Legend({ legend, chosen, onChoose, onAll }) {
  const entries = legend.some.map(({ name, count }, at) => ({ at, name, count }));
  if (legend.others) entries.push({ at: legend.some.length, name: legend.some.length ? "others" : "no category", count: legend.others });
  return html`<div class="row tight" role="group" aria-label="Show only categories" data-part="legend">
    ${entries.map(
      ({ at, name, count }) => html`<${Button} key=${at} small pressed=${chosen.includes(at)} kind=${chosen.length && !chosen.includes(at) ? "quiet" : ""} onClick=${() => onChoose(at)}>
        <span class="map-swatch" style=${{ background: at < legend.some.length ? colourOf(at) : othersOf(legend) }}></span><span class="wrap">${name}</span> <span class="quiet">${number(count)}</span>
      <//>`,
    )}
    ${chosen.length > 0 && html`<${Button} small kind="quiet" onClick=${onAll}>Show all<//>`}
  </div>`;
}

function Hover({ left, top, item, canvas }) {
  const right = left > canvas.clientWidth / 2;
  const style = { top: `${Math.min(Math.max(top + 12, 0), canvas.clientHeight - 76)}px`, ...(right ? { right: `${canvas.clientWidth - left + 12}px` } : { left: `${left + 12}px` }) };
  return html`<div class="map-hover" style=${style} data-part="hover">
    <strong class="wrap">${nameOf(item)}</strong>
    <span class="small quiet wrap">${[item.category, plural(item.events, "event"), item.state === "available" ? null : item.state].filter(Boolean).join(" · ")}</span>
  </div>`;
}

/** The most popular items in view, as a list: what the map shows for the keyboard and for screen readers. */
function InView({ points, slots, drawing, moved }) {
  const settled = useSettled(moved, 250);
  const [seen, setSeen] = useState({ items: [], total: 0 });
  useEffect(() => {
    if (!drawing.current) return undefined;
    drawing.current.resize();
    let here = true;
    const { found, total } = inside(points, drawing.current.box, LISTED, (point) => slots[point] !== 255);
    const told = found.length ? itemsOf(points, found) : Promise.resolve([]);
    told.then(
      (items) => here && setSeen({ items, total }),
      () => {},
    );
    return () => (here = false);
  }, [points, slots, settled]);
  return html`<section class="stack tight" aria-label="In view" data-part="in-view">
    <h3>In view: ${plural(seen.total, "item")}${seen.total > LISTED ? ", of which the most popular" : ""}</h3>
    <ul class="row tight">
      ${seen.items.map((item) => html`<li key=${item.item_id}><${Button} small onClick=${() => open(item.item_id)}><span class="clip map-name">${nameOf(item)}</span><//></li>`)}
    </ul>
  </section>`;
}

/** Drags, wheels, pinches and clicks on the canvas. */
function useGestures(canvas, drawing, does) {
  const latest = useRef(does);
  latest.current = does;
  useEffect(() => {
    const place = canvas.current;
    const fingers = new Map();
    let travelled = 0;
    const at = (event) => {
      const box = place.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const down = (event) => {
      place.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      if (fingers.size === 1) travelled = 0;
    };
    const move = (event) => {
      const now = at(event);
      const before = fingers.get(event.pointerId);
      if (!before) {
        latest.current.onPoint(...now, false);
        return;
      }
      fingers.set(event.pointerId, now);
      const { scale, density } = drawing.current;
      if (fingers.size === 1) {
        travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
        drawing.current.move(((before[0] - now[0]) * density) / scale, ((now[1] - before[1]) * density) / scale);
        latest.current.redraw();
      } else {
        const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, one]) => one);
        travelled = Infinity;
        const grown = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
        latest.current.zoom(grown, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      }
    };
    const up = (event) => {
      if (fingers.delete(event.pointerId) && travelled < 5 && event.type === "pointerup") latest.current.onPoint(...at(event), true);
    };
    const wheel = (event) => {
      event.preventDefault();
      latest.current.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...at(event));
    };
    const leave = () => latest.current.onPoint(-1e6, -1e6, false);
    const listeners = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up, pointerleave: leave };
    for (const [name, listener] of Object.entries(listeners)) place.addEventListener(name, listener);
    place.addEventListener("wheel", wheel, { passive: false });
    return () => {
      for (const [name, listener] of Object.entries(listeners)) place.removeEventListener(name, listener);
      place.removeEventListener("wheel", wheel);
    };
  }, []);
}
