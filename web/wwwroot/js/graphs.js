// The live graphs of one VM: exits by kind, device interrupts by vector, CPU time, and the figures over them.
// Everything in the panel is made and written here; Blazor only gives the element and says whether the VM runs.

import { compact, percent } from "./format.js";
import { Chart } from "./chart.js";
import { cpuShares, guestKey, hostKey, residentKey } from "./cpu.js";
import { decodeFrame, frameKind, rowKind } from "./frames.js";
import { element, button } from "./dom.js";
import { exitKinds, exitRates, isExitSeries, otherKind } from "./exits.js";
import { Figures } from "./figures.js";
import { GradeCard, guestWord, isGradeSeries, newestGrades } from "./grades.js";
import { interruptRates, vectorOf } from "./interrupts.js";
import { LegendTable } from "./legend.js";
import { linkState, openStream } from "./link.js";
import { recentMean, sumOf } from "./rates.js";
import { isReasonSeries, reasonRates, ReasonColors } from "./reasons.js";
import { SampleRing } from "./ring.js";
import { StatisticsTable } from "./statistics.js";

const backfillSeconds = 900;
const ringRows = backfillSeconds + 300;
const excessSamples = 10;
const staleMs = 3500;
const windows = [{ minutes: 1, label: "1 min" }, { minutes: 5, label: "5 min" }, { minutes: 15, label: "15 min" }];
const windowKey = "exitless.graph-window";
const groupings = [{ key: "statistic", label: "by statistic" }, { key: "reason", label: "by true reason" }];
const groupingKey = "exitless.exits-grouping";

const exitColors = Object.fromEntries([...exitKinds, otherKind].map(kind => [kind, `--exit-${kind.replaceAll("_", "-")}`]));
const vectorColor = index => `--vector-${index % 8}`;

/** Fills the element with the live graphs of a VM. Returns what Blazor calls later: setRunning and dispose. */
export function attach(host, vmId, running) {
  return new GraphPanel(host, vmId, running);
}

class GraphPanel {
  #ring = new SampleRing(ringRows);
  #figures = new Figures();
  #grades = new GradeCard();
  #statistics = new StatisticsTable();
  #schema = [];
  #running;
  #paused = false;
  #agentUp = true;
  #link = { state: linkState.connecting, words: "" };
  #lastArrival = NaN;      // performance.now() of the newest live row: staleness without trusting two clocks to agree
  #hover = null;
  #frame = 0;
  #minutes = 5;
  #grouping = stored(groupingKey) === "reason" ? "reason" : "statistic";
  #reasonColors = new ReasonColors();
  #drawn = null;
  #charts;
  #stream;
  #timer;
  #parts = {};
  #restyle = () => { for (const chart of this.#charts) chart.plot.restyle(); this.#request(); };
  #visible = () => this.#request();

  constructor(host, vmId, running) {
    this.#running = running;
    this.#minutes = storedWindow();
    const syncKey = `vm-${vmId}`;
    this.#charts = [
      this.#card("exits", "VM exits", "per second", { stacked: true, format: compact, syncKey, total: "exits", lineOfTotal: true }),
      this.#card("interrupts", "Device interrupts", "per second, by MSI-X vector", { stacked: false, format: compact, syncKey, total: "total" }),
      this.#card("cpu", "CPU time", "per cent of one CPU", { stacked: true, format: percent, syncKey, total: "total" }),
    ];
    host.replaceChildren(this.#bar(), this.#banner(), this.#figures.root, ...this.#charts.map(chart => chart.card), this.#grades.root, this.#statistics.root);
    document.addEventListener("exitless:theme", this.#restyle);
    document.addEventListener("visibilitychange", this.#visible);
    this.#timer = setInterval(() => this.#tick(), 500);
    this.#stream = openStream("WatchVm", () => [vmId, backfillSeconds], item => this.#receive(item), (state, words) => {
      this.#link = { state, words };
      this.#tick();
    });
    this.#tick();
  }

  setRunning(running) {
    this.#running = running;
    this.#tick();
  }

  dispose() {
    this.#stream.close();
    clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    document.removeEventListener("exitless:theme", this.#restyle);
    document.removeEventListener("visibilitychange", this.#visible);
    for (const chart of this.#charts) chart.plot.dispose();
  }

  // ---- what comes in

  #receive(item) {
    const frame = decodeFrame(item);
    if (frame.type === frameKind.link) this.#agentUp = frame.up;
    else if (frame.type === frameKind.schema) this.#setSchema(frame.series);
    else this.#addRows(frame);
    this.#request();
  }

  #setSchema(series) {
    this.#schema = series;
    const drawn = key => isExitSeries(key) || isReasonSeries(key) || vectorOf(key) !== null || isGradeSeries(key) || key === guestKey || key === hostKey || key === residentKey;
    this.#ring.setSchema(series.map(one => drawn(one.key) ? one.key : null));
    this.#statistics.setSchema(series);
  }

  #addRows(frame) {
    if (frame.columns !== this.#schema.length || frame.rowCount === 0) return; // rows of a schema that is not here yet
    const newest = frame.times[frame.rowCount - 1];
    if (frame.kind === rowKind.live) this.#lastArrival = performance.now();
    else if (Number.isNaN(this.#lastArrival) || !(newest <= this.#ring.lastTime))
      this.#lastArrival = performance.now() - Math.max(0, Date.now() - newest);
    this.#ring.add(frame.times, frame.values);
    this.#statistics.add(frame);
  }

  // ---- what is drawn

  #request() {
    if (this.#frame !== 0 || document.hidden) return;
    this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#render(); });
  }

  #render() {
    this.#words();
    if (this.#paused) return;
    const exits = exitRates(this.#ring);
    const interrupts = interruptRates(this.#ring);
    const cpu = cpuShares(this.#ring);
    const cpuLayers = [
      { name: "guest", color: "--cpu-guest", rates: cpu.guest },
      { name: "host", color: "--cpu-host", rates: cpu.host },
    ];
    const to = this.#now();
    const window = [to - this.#minutes * 60_000, to];
    const [exitChart, interruptChart, cpuChart] = this.#charts;
    const reasons = this.#grouping === "reason" ? reasonRates(this.#ring) : null;
    this.#paint(exitChart, exits.times, reasons === null
      ? exits.layers.map(layer => ({ ...layer, color: exitColors[layer.name] }))
      : reasons.layers.map(layer => ({ ...layer, color: this.#reasonColors.of(layer.name) })), exits.total, window);
    this.#paint(interruptChart, interrupts.times, interrupts.lines.map((line, i) => ({ ...line, color: vectorColor(i) })), interrupts.total, window);
    this.#paint(cpuChart, cpu.times, cpuLayers, sumOf([cpu.guest, cpu.host], cpu.times.length), window);
    this.#drawn = { exits, interrupts };
    this.#figures.render(this.#ring, exits, interrupts, cpu);
    const graded = newestGrades(this.#ring);
    this.#grades.render(graded, new Map(interrupts.lines.map(line => [line.key, line.rates.at(-1)])), guestWord(this.#ring, graded));
    this.#note(exits, reasons);
    this.#legends();
    this.#statistics.render();
  }

  #paint(chart, times, layers, total, window) {
    chart.layers = layers;
    chart.total = total;
    chart.plot.draw(times, layers, chart.lineOfTotal ? total : null, window);
  }

  #note(exits, reasons) {
    const over = recentMean(exits.excess, excessSamples);
    const words = reasons !== null ? reasonWords(reasons)
      : over > 0.5 ? `The kinds exceed “exits” by ${compact(over)}/s: an exit was counted under two of them.` : "";
    this.#parts.excess.hidden = words === "";
    if (this.#parts.excess.textContent !== words) this.#parts.excess.textContent = words;
  }

  #legends() {
    for (const chart of this.#charts) {
      const last = chart.layers.length === 0 ? 0 : chart.layers[0].rates.length - 1;
      const index = this.#hover !== null && this.#hover <= last ? this.#hover : last;
      const value = rates => index < 0 ? NaN : rates[index];
      const rows = chart.layers.map(layer => ({ name: layer.name, color: layer.color, value: value(layer.rates) }));
      chart.legend.render(rows, chart.layers.length > 1 ? { name: chart.totalName, value: value(chart.total) } : null);
    }
  }

  #now() {
    if (this.#ring.length === 0) return Date.now();
    if (!this.#running || Number.isNaN(this.#lastArrival)) return this.#ring.lastTime;
    return this.#ring.lastTime + (performance.now() - this.#lastArrival);
  }

  #tick() {
    if (document.hidden) return;
    this.#words();
    const age = performance.now() - this.#lastArrival;
    if (!this.#paused && age > 1500) this.#request(); // the window moves on though nothing comes in
  }

  // ---- what is said

  #words() {
    const age = performance.now() - this.#lastArrival;
    const known = this.#ring.length > 0 && !Number.isNaN(age);
    const stale = !known || age > staleMs;
    const { staleness, banner } = this.#parts;
    staleness.textContent = this.#paused ? "Paused" : !known ? "No samples yet" : `As of ${ago(age)} ago`;
    staleness.dataset.state = this.#paused ? "paused" : stale ? "stale" : "live";
    this.#figures.root.classList.toggle("is-stale", stale);
    const words = this.#trouble(known, stale, age);
    banner.hidden = words === "";
    if (banner.textContent !== words) banner.textContent = words;
  }

  #trouble(known, stale, age) {
    if (this.#link.state === linkState.lost) return `This page has lost the control plane: ${this.#link.words} Trying again.`;
    if (!this.#running) return known ? "The VM is not running. These are its last samples." : "The VM is not running: samples begin when it starts.";
    if (!this.#agentUp) return "The link to the host's agent is lost. The VM may well be running; samples of the gap are filled in when the link is back.";
    if (known && stale && !this.#paused && age > 2 * staleMs) return `No sample has come for ${ago(age)}.`;
    return "";
  }

  // ---- the panel's elements

  #bar() {
    const staleness = this.#parts.staleness = element("span", { class: "graph-staleness", "data-testid": "graph-staleness" });
    const choices = windows.map(({ minutes, label }) => button(label, () => this.#setWindow(minutes), { "data-minutes": minutes }));
    this.#parts.choices = choices;
    const pause = this.#parts.pause = button("Pause", () => this.#setPaused(!this.#paused), { "data-testid": "graph-pause", "aria-pressed": "false" });
    this.#markWindow();
    return element("div", { class: "graph-bar" }, staleness, element("div", { class: "graph-spacer" }),
      element("div", { class: "segmented", role: "group", "aria-label": "Time shown" }, ...choices), pause);
  }

  #banner() {
    return this.#parts.banner = element("div", { class: "graph-banner", role: "status", "data-testid": "graph-banner", hidden: "" });
  }

  #card(name, title, unit, options) {
    const plotHost = element("div", { class: `plot plot-${name}`, "data-testid": `chart-${name}` });
    const legend = new LegendTable(options.format);
    const plot = new Chart(plotHost, { ...options, onCursor: index => { this.#hover = index; if (this.#drawn !== null) this.#legends(); } });
    const heading = element("header", { class: "chart-heading" }, element("h2", {}, title), element("span", { class: "chart-unit" }, unit));
    const parts = [heading, element("div", { class: "chart-body" }, plotHost, legend.root)];
    if (name === "exits") heading.append(element("div", { class: "graph-spacer" }), this.#groupings());
    if (name === "exits") parts.push(this.#parts.excess = element("p", { class: "chart-note", hidden: "", "data-testid": "exits-excess" }));
    return { card: element("section", { class: "chart-card" }, ...parts), plot, legend, layers: [], total: null, totalName: options.total, lineOfTotal: options.lineOfTotal === true };
  }

  #groupings() {
    const choices = groupings.map(({ key, label }) => button(label, () => this.#setGrouping(key), { "data-testid": `exits-by-${key}` }));
    this.#parts.groupings = choices;
    this.#markGrouping();
    return element("div", { class: "segmented", role: "group", "aria-label": "Exits are told" }, ...choices);
  }

  #setGrouping(key) {
    this.#grouping = key;
    store(groupingKey, key);
    this.#markGrouping();
    this.#request();
  }

  #markGrouping() {
    this.#parts.groupings.forEach((choice, i) => choice.setAttribute("aria-pressed", String(groupings[i].key === this.#grouping)));
  }

  #setPaused(paused) {
    this.#paused = paused;
    this.#parts.pause.textContent = paused ? "Resume" : "Pause";
    this.#parts.pause.setAttribute("aria-pressed", String(paused));
    this.#request();
  }

  #setWindow(minutes) {
    this.#minutes = minutes;
    store(windowKey, String(minutes));
    this.#markWindow();
    this.#request();
  }

  #markWindow() {
    for (const choice of this.#parts.choices)
      choice.setAttribute("aria-pressed", String(Number(choice.dataset.minutes) === this.#minutes));
  }
}

function storedWindow() {
  const minutes = Number(stored(windowKey));
  return windows.some(window => window.minutes === minutes) ? minutes : 15;
}

function stored(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function store(key, value) {
  try { localStorage.setItem(key, value); } catch { /* then it lasts as long as this page */ }
}

function reasonWords({ layers }) {
  return layers.length === 0
    ? "No exit has been counted by reason yet. The host does so while somebody looks; where its kernel does not let the agent, an event says why."
    : "Counted by the host's kernel at each exit while somebody looks, which makes each exit a little dearer.";
}

function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
