// Draws the points of a map into the pixels of a canvas: a hundred thousand in some milliseconds, the same on every machine.
const SIZE = 65535;

/** "rgb(1, 2, 3)" → [1, 2, 3]. */
export const parts = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

export class Drawing {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.x = this.y = SIZE / 2; // of the map, in the middle of the canvas
    this.zoom = 1; // 1: all of the map is seen
  }

  /** Takes the size that the canvas has on the page. */
  resize() {
    const density = Math.min(devicePixelRatio || 1, 2);
    const [width, height] = [Math.max(1, Math.round(this.canvas.clientWidth * density)), Math.max(1, Math.round(this.canvas.clientHeight * density))];
    this.density = density;
    if (this.image && width === this.canvas.width && height === this.canvas.height) return;
    Object.assign(this.canvas, { width, height });
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /** Pixels of the canvas for a number of the map. */
  get scale() {
    return (this.zoom * Math.min(this.canvas.width, this.canvas.height) * 0.96) / SIZE;
  }

  /** A place on the page, in pixels from the canvas's corner, in the map's numbers. */
  place(left, top) {
    return [this.x + (left * this.density - this.canvas.width / 2) / this.scale, this.y - (top * this.density - this.canvas.height / 2) / this.scale];
  }

  /** The other way round. */
  pixel(x, y) {
    return [((x - this.x) * this.scale + this.canvas.width / 2) / this.density, ((this.y - y) * this.scale + this.canvas.height / 2) / this.density];
  }

  /** What of the map is seen. */
  get box() {
    const [left, top] = this.place(0, 0);
    const [right, bottom] = this.place(this.canvas.width / this.density, this.canvas.height / this.density);
    return { left, right, top: bottom, bottom: top };
  }

  /** Zooms so that a place on the page stays where it is. */
  zoomAt(factor, left, top) {
    const [x, y] = this.place(left, top);
    this.zoom = Math.min(400, Math.max(1, this.zoom * factor));
    const [nowX, nowY] = this.place(left, top);
    this.move(x - nowX, y - nowY);
  }

  /** Moves by numbers of the map; its middle stays in sight. */
  move(x, y) {
    this.x = Math.min(SIZE, Math.max(0, this.x + x));
    this.y = Math.min(SIZE, Math.max(0, this.y + y));
  }

  /**
   * Draws: `slots` has a place in `palette` ([r, g, b] each) for every point, 255 for those left out; `lit` are points drawn last and larger, in
   * `accent`, and with them all others recede. Returns milliseconds.
   */
  draw({ x, y, order, popularity }, slots, palette, page, lit, accent) {
    const began = performance.now();
    const { pixels, scale } = this;
    const { width, height } = this.canvas;
    const [midX, midY, atX, atY] = [width / 2, height / 2, this.x, this.y];
    pixels.fill(packed(page));
    const faded = lit ? palette.map((colour) => mixed(colour, page, 0.3)) : palette;
    const colours = Uint32Array.from(faded.map(packed));
    const soft = Uint32Array.from(faded.map((colour) => packed(mixed(colour, page, 0.55))));
    const grown = Math.max(1, Math.min(5, Math.round(this.density * Math.sqrt(this.zoom) * (order.length > 20000 ? 0.9 : 1.8))));
    for (let at = 0; at < order.length; at++) {
      const point = order[at];
      const slot = slots[point];
      if (slot === 255) continue;
      const left = ((x[point] - atX) * scale + midX) | 0;
      const top = ((atY - y[point]) * scale + midY) | 0;
      const radius = popularity[point] > 242 ? grown + 1 : grown;
      if (left < radius || top < radius || left >= width - radius || top >= height - radius) continue;
      dot(pixels, width, left, top, radius, colours[slot], soft[slot]);
    }
    if (lit) {
      const [strong, rim] = [packed(accent), packed(page)];
      for (const point of lit) {
        const left = Math.round((x[point] - atX) * scale + midX);
        const top = Math.round((atY - y[point]) * scale + midY);
        const radius = Math.round(grown + 2 * this.density);
        if (left < radius + 2 || top < radius + 2 || left >= width - radius - 2 || top >= height - radius - 2) continue;
        disc(pixels, width, left, top, radius + 1, rim);
        disc(pixels, width, left, top, radius, strong);
      }
    }
    this.context.putImageData(this.image, 0, 0);
    return performance.now() - began;
  }
}

const packed = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const mixed = (one, other, share) => one.map((value, at) => Math.round(value * share + other[at] * (1 - share)));

/** A small square with soft edges. */
function dot(pixels, width, left, top, radius, colour, soft) {
  if (radius === 1) {
    const at = top * width + left;
    pixels[at - 1] = pixels[at + 1] = pixels[at - width] = pixels[at + width] = soft;
    pixels[at] = colour;
    return;
  }
  for (let down = -radius; down <= radius; down++) {
    const row = (top + down) * width + left;
    const half = Math.floor(Math.sqrt((radius + 0.5) ** 2 - down * down));
    for (let over = -half; over <= half; over++) pixels[row + over] = over === -half || over === half ? soft : colour;
  }
}

function disc(pixels, width, left, top, radius, colour) {
  for (let down = -radius; down <= radius; down++) {
    const half = Math.floor(Math.sqrt((radius + 0.5) ** 2 - down * down));
    pixels.fill(colour, (top + down) * width + left - half, (top + down) * width + left + half + 1);
  }
}
