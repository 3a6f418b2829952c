// A stacked graph for a card: no axes, a fixed number of seconds, drawn on a canvas by hand. A wall has dozens of them, and each second
// adds one column to each: what is there already is moved to the left, and only the new column is painted, unless the scale has changed.

import { roundUp } from "./axes.js";

export class MiniStack {
  canvas = document.createElement("canvas");
  #layers;
  #seconds;
  #values = [];        // newest last: {second, layers or null}
  #context = null;
  #height;
  #width = 0;
  #max = 0;
  #drawn = NaN;        // the newest second that is on the canvas

  /** A number of layers over a number of seconds, in a canvas so many pixels high. */
  constructor(layers, seconds, height = 64) {
    this.#height = height;
    this.#layers = layers;
    this.#seconds = seconds;
    this.canvas.setAttribute("aria-hidden", "true");
    new ResizeObserver(([entry]) => { this.#width = Math.round(entry.contentRect.width); this.invalidate(); }).observe(this.canvas);
  }

  /** Rates of the layers, bottom first, at a time in ms; null: not known, a gap. */
  push(time, layers) {
    this.#values.push({ second: Math.round(time / 1000), layers });
    if (this.#values.length > this.#seconds) this.#values.shift();
  }

  /** Forgets everything. */
  clear() { this.#values = []; this.#context?.clearRect(0, 0, this.#width, this.#height); this.invalidate(); }

  /** What is on the canvas is no good any more. */
  invalidate() { this.#drawn = NaN; }

  draw(colors) {
    if (this.#width === 0 || this.#values.length === 0) return;
    const newest = this.#values[this.#values.length - 1].second;
    let most = 0;
    for (const { layers } of this.#values) if (layers !== null) most = Math.max(most, sum(layers));
    const max = roundUp(most);
    const moved = newest - this.#drawn;
    if (moved === 0 && max === this.#max) return;
    if (!(moved > 0 && moved <= 5) || max !== this.#max) this.#whole(colors, newest, max); else this.#move(colors, newest, moved);
    this.#drawn = newest;
  }

  #whole(colors, newest, max) {
    this.#max = max;
    if (this.canvas.width !== this.#width) { this.canvas.width = this.#width; this.canvas.height = this.#height; }
    this.#context ??= this.canvas.getContext("2d");
    this.#context.clearRect(0, 0, this.#width, this.#height);
    for (const { second, layers } of this.#values) this.#column(colors, newest, second, layers);
  }

  #move(colors, newest, moved) {
    const by = this.#x(newest, newest) - this.#x(newest, newest - moved);
    this.#context.globalCompositeOperation = "copy";
    this.#context.drawImage(this.canvas, -by, 0);
    this.#context.globalCompositeOperation = "source-over";
    for (let i = this.#values.length - 1; i >= 0 && this.#values[i].second > newest - moved; i--) this.#column(colors, newest, this.#values[i].second, this.#values[i].layers);
  }

  #column(colors, newest, second, layers) {
    if (layers === null) return;
    const left = this.#x(newest, second - 1);
    const width = this.#x(newest, second) - left;
    let bottom = this.#height;
    for (let layer = 0; layer < this.#layers; layer++) {
      const size = layers[layer] / this.#max * this.#height;
      if (!(size > 0)) continue;
      this.#context.fillStyle = colors[layer];
      this.#context.fillRect(left, bottom - size, width, size);
      bottom -= size;
    }
  }

  // Whole pixels a second, so that moving never blurs.
  #x(newest, second) { return this.#width - (newest - second) * Math.max(1, Math.round(this.#width / this.#seconds)); }
}

function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
