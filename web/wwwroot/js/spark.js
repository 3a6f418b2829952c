// <live-spark vm="id">: exits per second of the last minute, small enough for a list's column. All that are on the page share one stream,
// which is opened anew when the rows in view have changed and rested.

import { decodeWall, wallColumns } from "./frames.js";
import { openStream } from "./link.js";
import { MiniStack } from "./ministack.js";
import { rateOf } from "./rates.js";

const shownSeconds = 60;
const height = 20;
const mostVms = 60;
const restMs = 400;
const color = "--exit-irq-exits";

const sparks = new Set();
let stream = null;
let order = [];
let timer = 0;

class LiveSpark extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["vm"];
  #stack = null;
  #last = null;

  connectedCallback() {
    this.#stack ??= new MiniStack(1, shownSeconds, height);
    this.replaceChildren(this.#stack.canvas);
    sparks.add(this);
    changed();
  }

  disconnectedCallback() { sparks.delete(this); changed(); }

  attributeChangedCallback(_, before, now) {
    if (before === now || this.#stack === null) return;
    this.#stack.clear();
    this.#last = null;
    changed();
  }

  get vm() { return this.getAttribute("vm"); }

  add(rows) {
    for (let at = 0; at < rows.length; at += wallColumns + 1) {
      const time = rows[at], exits = rows[at + 1], last = this.#last;
      if (last !== null && time <= last.time) continue;
      this.#last = { time, exits };
      if (last === null) continue;
      const rate = rateOf(time - last.time, exits - last.exits);
      this.#stack.push(time, Number.isNaN(rate) ? null : [rate]);
    }
  }

  draw(colors) { this.#stack.draw(colors); }
}

function changed() {
  clearTimeout(timer);
  timer = setTimeout(open, restMs);
}

function open() {
  const wanted = [...new Set([...sparks].map(spark => spark.vm).filter(vm => vm !== null && vm !== ""))].slice(0, mostVms);
  if (wanted.join() === order.join()) return;
  stream?.close();
  order = wanted;
  stream = wanted.length === 0 ? null : openStream("WatchWall", () => [order, shownSeconds], receive, () => {});
}

function receive(item) {
  const entries = decodeWall(item);
  const byVm = new Map(entries.map(entry => [order[entry.index], entry.rows]));
  const colors = [getComputedStyle(document.documentElement).getPropertyValue(color).trim()];
  for (const spark of sparks) {
    const rows = byVm.get(spark.vm);
    if (rows === undefined) continue;
    spark.add(rows);
    if (!document.hidden) spark.draw(colors);
  }
}

if (globalThis.customElements !== undefined) customElements.define("live-spark", LiveSpark);
