// The points of a map as they come over the wire (serve/browse/chart.py): typed arrays over the bytes, nothing is copied.
export const NONE = 65535;

/** {map, points, categories, x, y, category, popularity, state, order}; `order` is the least popular first, as they are drawn. */
export function parsed(buffer) {
  const view = new DataView(buffer);
  if (new TextDecoder().decode(new Uint8Array(buffer, 0, 4)) !== "TMAP") throw new Error("These are no points of a map.");
  const length = view.getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  let at = 8 + length + ((4 - (length % 4)) % 4);
  const line = (kind) => {
    const found = new kind(buffer, at, head.points);
    at += found.byteLength;
    return found;
  };
  const [x, y, category] = [line(Uint16Array), line(Uint16Array), line(Uint16Array)];
  const [popularity, state] = [line(Uint8Array), line(Uint8Array)];
  return { ...head, x, y, category, popularity, state, order: sorted(popularity) };
}

/** Points by popularity, by counting. */
function sorted(popularity) {
  const begins = new Uint32Array(257);
  for (const one of popularity) begins[one + 1]++;
  for (let value = 0; value < 256; value++) begins[value + 1] += begins[value];
  const order = new Uint32Array(popularity.length);
  popularity.forEach((value, point) => {
    order[begins[value]++] = point;
  });
  return order;
}

/** The categories of most points: [{code, name, count}], at most eight, then how many points have others or none. */
export function largest({ category, categories }) {
  const counts = new Uint32Array(categories.length);
  let none = 0;
  for (const code of category) {
    if (code < counts.length) counts[code]++;
    else none++;
  }
  const all = [...counts.keys()].filter((code) => counts[code]).sort((one, other) => counts[other] - counts[one] || one - other);
  const some = all.slice(0, 8).map((code) => ({ code, name: categories[code], count: counts[code] }));
  return { some, others: all.slice(8).reduce((sum, code) => sum + counts[code], none) };
}

/** The point nearest to a place in the map's numbers, within a distance; -1 where there is none. Of equals the more popular. */
export function nearest({ x, y, order }, atX, atY, within) {
  let [found, best] = [-1, within * within];
  for (const point of order) {
    const [dx, dy] = [x[point] - atX, y[point] - atY];
    const distance = dx * dx + dy * dy;
    if (distance <= best) [found, best] = [point, distance];
  }
  return found;
}

/** The most popular points in a rectangle, at most `most`, and how many there are in all. */
export function inside({ x, y, order }, box, most, shown) {
  const found = [];
  let total = 0;
  for (let at = order.length - 1; at >= 0; at--) {
    const point = order[at];
    if (x[point] < box.left || x[point] > box.right || y[point] < box.top || y[point] > box.bottom || !shown(point)) continue;
    total++;
    if (found.length < most) found.push(point);
  }
  return { found, total };
}
