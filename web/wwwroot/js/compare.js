// Two VMs on the same axes: exits, device interrupts, exits per interrupt, CPU time. One stream each, one second a point.

import { compact, percent } from "./format.js";
import { Chart } from "./chart.js";
import { cpuShares, guestKey, hostKey } from "./cpu.js";
import { decodeFrame, frameKind } from "./frames.js";
import { element } from "./dom.js";
import { exitRates, isExitSeries } from "./exits.js";
import { interruptRates, vectorOf } from "./interrupts.js";
import { LegendTable } from "./legend.js";
import { openStream } from "./link.js";
import { SampleRing } from "./ring.js";
import { alignToSeconds, quotients } from "./align.js";

const backfillSeconds = 300;
const shownMs = 300_000;
const colors = ["--vector-0", "--vector-1"];

/** Fills the element with the graphs of two VMs. */
export function attach(host, first, second, firstName, secondName) {
  return new ComparePanel(host, [{ id: first, name: firstName }, { id: second, name: secondName === firstName ? `${secondName} (2)` : secondName }]);
}

class ComparePanel {
  #sides;
  #cards;
  #frame = 0;
  #timer;
  #restyle = () => { for (const card of this.#cards) card.plot.restyle(); this.#request(); };
  #visible = () => this.#request();

  constructor(host, vms) {
    this.#cards = [
      this.#card("exits", "VM exits", "per second", compact, side => side.exits),
      this.#card("interrupts", "Device interrupts", "per second", compact, side => side.interrupts),
      this.#card("ratio", "Exits per device interrupt", "0: exit-less", compact, side => side.ratio),
      this.#card("cpu", "CPU time", "guest and host, per cent of one CPU", percent, side => side.cpu),
    ];
    host.replaceChildren(...this.#cards.map(card => card.root));
    this.#sides = vms.map(vm => ({ ...vm, ring: new SampleRing(backfillSeconds + 120), schema: [] }));
    for (const side of this.#sides)
      side.stream = openStream("WatchVm", () => [side.id, backfillSeconds], item => this.#receive(side, item), () => {});
    document.addEventListener("exitless:theme", this.#restyle);
    document.addEventListener("visibilitychange", this.#visible);
    this.#timer = setInterval(() => this.#request(), 1000);
  }

  dispose() {
    for (const side of this.#sides) side.stream.close();
    clearInterval(this.#timer);
    cancelAnimationFrame(this.#frame);
    document.removeEventListener("exitless:theme", this.#restyle);
    document.removeEventListener("visibilitychange", this.#visible);
    for (const card of this.#cards) card.plot.dispose();
  }

  #receive(side, item) {
    const frame = decodeFrame(item);
    if (frame.type === frameKind.link) return;
    if (frame.type === frameKind.schema) {
      side.schema = frame.series;
      const drawn = key => isExitSeries(key) || vectorOf(key) !== null || key === guestKey || key === hostKey;
      side.ring.setSchema(frame.series.map(one => drawn(one.key) ? one.key : null));
    } else if (frame.columns === side.schema.length && frame.rowCount > 0) {
      side.ring.add(frame.times, frame.values);
    }
    this.#request();
  }

  #request() {
    if (this.#frame !== 0 || document.hidden) return;
    this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#render(); });
  }

  #render() {
    const to = Math.max(...this.#sides.map(side => side.ring.length === 0 ? 0 : side.ring.lastTime));
    if (to === 0) return;
    const window = [to - shownMs, to];
    const lines = this.#sides.map(side => {
      const exits = exitRates(side.ring);
      const interrupts = interruptRates(side.ring);
      const cpu = cpuShares(side.ring);
      const at = rates => alignToSeconds(exits.times, rates, window);
      const aligned = { exits: at(exits.total), interrupts: at(interrupts.total), cpu: at(cpu.guest.map((value, i) => value + cpu.host[i])) };
      return { ...aligned, ratio: quotients(aligned.exits, aligned.interrupts) };
    });
    const times = alignToSeconds.times(window);
    for (const card of this.#cards) {
      const layers = this.#sides.map((side, i) => ({ name: side.name, color: colors[i], rates: card.pick(lines[i]) }));
      card.plot.draw(times, layers, null, window);
      card.legend.render(layers.map(layer => ({ name: layer.name, color: layer.color, value: layer.rates[layer.rates.length - 1] })), null);
    }
  }

  #card(name, title, unit, format, pick) {
    const plotHost = element("div", { class: "plot", "data-testid": `compare-${name}` });
    const plot = new Chart(plotHost, { stacked: false, format, syncKey: "compare", onCursor: () => {} });
    const legend = new LegendTable(format);
    const root = element("section", { class: "chart-card" },
      element("header", { class: "chart-heading" }, element("h2", {}, title), element("span", { class: "chart-unit" }, unit)),
      element("div", { class: "chart-body" }, plotHost, legend.root));
    return { root, plot, legend, pick };
  }
}
