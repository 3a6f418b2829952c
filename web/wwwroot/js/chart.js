// One chart: uPlot with our look, stacked layers or lines, a size that follows its element, and a cursor shared by all charts of a panel.

import uPlot from "../lib/uplot/uPlot.esm.js";
import { roundUp, timeMarks } from "./axes.js";
import { stack, withGaps } from "./stacking.js";

const heightFallback = 180;

export class Chart {
  #host;
  #options;
  #plot = null;
  #names = [];
  #observer;
  #window = [0, 1];

  /** options: stacked, format(value), syncKey, onCursor(index or null), totalLine */
  constructor(host, options) {
    this.#host = host;
    this.#options = options;
    this.#observer = new ResizeObserver(() => this.#plot?.setSize(this.#size()));
    this.#observer.observe(host);
  }

  /** layers: [{name, color, rates}], bottom first when stacked; total: a line over the stack, or null; window: [from, to] in ms. */
  draw(times, layers, total, window) {
    const names = layers.map(layer => layer.name).concat(total === null ? [] : ["total"]);
    this.#window = window;
    if (this.#plot === null || names.join("\n") !== this.#names.join("\n")) this.#build(names, layers, total !== null);
    const rows = this.#options.stacked
      ? stack(layers.map(layer => layer.rates), times.length)
      : layers.map(layer => withGaps(layer.rates));
    this.#plot.setData([times, ...rows, ...(total === null ? [] : [withGaps(total)])], false);
    this.#plot.batch(() => {
      this.#plot.setScale("x", { min: window[0], max: window[1] });
    });
  }

  /** Colours come from the theme, so a new theme means a new plot. */
  restyle() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  dispose() {
    this.#observer.disconnect();
    this.restyle();
  }

  #size() {
    return { width: Math.max(120, this.#host.clientWidth), height: this.#host.clientHeight || heightFallback };
  }

  #build(names, layers, hasTotal) {
    this.restyle();
    this.#names = names;
    const style = getComputedStyle(document.documentElement);
    const color = name => style.getPropertyValue(name).trim();
    const grid = { stroke: color("--chart-grid"), width: 1 };
    const font = `11px ${color("--font-ui")}`;
    const series = layers.map((layer, i) => this.#series(layer, color(layer.color), i));
    if (hasTotal) series.push({ label: "total", stroke: color("--chart-total"), width: 1.25, points: { show: false } });
    const bands = this.#options.stacked
      ? layers.slice(1).map((layer, i) => ({ series: [i + 2, i + 1], fill: color(layer.color) + "d0" }))
      : [];
    this.#plot = new uPlot({
      ...this.#size(),
      ms: 1,
      pxAlign: true,
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { show: !this.#options.stacked, size: 5 },
        sync: { key: this.#options.syncKey, scales: ["x", null] },
      },
      scales: {
        x: { time: true, auto: false, range: () => this.#window },
        y: { range: (_, __, max) => [0, roundUp(max)] },
      },
      series: [{}, ...series],
      bands,
      axes: [
        { stroke: color("--chart-axis"), font, grid: { show: false }, ticks: { ...grid, size: 4 }, size: 26, splits: plot => timeMarks(this.#window, plot.bbox.width / devicePixelRatio), values: (_, marks) => marks.map(at => clock(at, marks)) },
        { stroke: color("--chart-axis"), font, grid, ticks: { show: false }, size: 58, gap: 6, space: 32, values: (_, splits) => splits.map(this.#options.format) },
      ],
      hooks: { setCursor: [plot => this.#options.onCursor(plot.cursor.left < 0 ? null : plot.cursor.idx)] },
    }, [[], ...names.map(() => [])], this.#host);
  }

  #series(layer, color, index) {
    if (!this.#options.stacked) return { label: layer.name, stroke: color, width: 1.5, fill: color + "1c", points: { show: false } };
    return { label: layer.name, stroke: "transparent", width: 0, fill: index === 0 ? color + "d0" : undefined, points: { show: false } };
  }
}

function clock(at, marks) {
  const time = new Date(at);
  const two = value => String(value).padStart(2, "0");
  const minutes = `${two(time.getHours())}:${two(time.getMinutes())}`;
  return marks.length > 1 && marks[1] - marks[0] < 60_000 ? `${minutes}:${two(time.getSeconds())}` : minutes;
}
