// A small live graph of each of many VMs: exits per second by kind. One stream for all of them, one frame a second, and
// one drawing a second for each graph that is in view.

import { compact, percent } from "./format.js";
import { decodeWall, wallColumns } from "./frames.js";
import { element } from "./dom.js";
import { linkState, openStream } from "./link.js";
import { MiniStack } from "./ministack.js";
import { rateOf } from "./rates.js";

const shownSeconds = 120;
const layerColors = ["--exit-irq-exits", "--exit-halt-exits", "--exit-io-exits", "--exit-other"];
const column = { exits: 0, irq: 1, halt: 2, io: 3, interrupts: 4, guest: 5 };
const staleMs = 3500;

/** Fills the element with a graph of each VM: {id, name, host}. */
export function attach(host, vms) {
  return new Wall(host, vms);
}

class Wall {
  #cards;
  #stream;
  #timer;
  #colors;
  #observer;
  #restyle = () => { this.#readColors(); for (const card of this.#cards) card.stack.invalidate(); this.#draw(); };
  #visible = () => { if (!document.hidden) this.#draw(); };

  constructor(host, vms) {
    this.#cards = vms.map(vm => new Card(vm));
    host.replaceChildren(...this.#cards.map(card => card.root));
    this.#readColors();
    // What is scrolled away is not drawn.
    this.#observer = new IntersectionObserver(entries => {
      for (const entry of entries) {
        const card = this.#cards.find(one => one.root === entry.target);
        card.inView = entry.isIntersecting;
        if (card.inView) card.draw(this.#colors);
      }
    });
    for (const card of this.#cards) this.#observer.observe(card.root);
    document.addEventListener("exitless:theme", this.#restyle);
    document.addEventListener("visibilitychange", this.#visible);
    this.#stream = openStream("WatchWall", () => [vms.map(vm => vm.id), shownSeconds], item => this.#receive(item), state => {
      if (state === linkState.lost) for (const card of this.#cards) card.say("no link");
    });
    this.#timer = setInterval(() => { const now = performance.now(); for (const card of this.#cards) card.age(now); }, 1000);
  }

  dispose() {
    this.#stream.close();
    this.#observer.disconnect();
    clearInterval(this.#timer);
    document.removeEventListener("exitless:theme", this.#restyle);
    document.removeEventListener("visibilitychange", this.#visible);
  }

  #receive(item) {
    const now = performance.now();
    for (const entry of decodeWall(item)) this.#cards[entry.index]?.add(entry, now);
    this.#draw();
  }

  #draw() {
    if (document.hidden) return;
    for (const card of this.#cards) if (card.inView) card.draw(this.#colors);
  }

  #readColors() {
    const style = getComputedStyle(document.documentElement);
    this.#colors = layerColors.map(name => style.getPropertyValue(name).trim());
  }
}

class Card {
  inView = false;
  stack = new MiniStack(layerColors.length, shownSeconds);
  #words = element("span", { class: "quiet" }, "");
  #exits = element("span", { title: "Exits per second" }, "–");
  #ratio = element("span", { title: "Exits per device interrupt" }, "");
  #guest = element("span", { title: "CPU time in guest mode" }, "");
  #last = null;
  #arrived = NaN;
  #lost = false;
  root;

  constructor(vm) {
    this.root = element("section", { class: "wall-card", "data-testid": "wall-card", "data-rows": "0", "aria-label": vm.name },
      element("header", {}, element("a", { href: `/vms/${vm.id}`, title: `${vm.name} on ${vm.host}` }, vm.name), this.#words),
      this.stack.canvas, element("p", {}, this.#exits, this.#ratio, this.#guest));
  }

  /** entry: {up, rows: [time, ...columns]} as decodeWall gives it. */
  add(entry, now) {
    this.#lost = !entry.up;
    for (let at = 0; at < entry.rows.length; at += wallColumns + 1) this.#push(entry.rows.subarray(at, at + wallColumns + 1));
    if (entry.rows.length > 0) this.#arrived = now;
    this.root.dataset.rows = String(Number(this.root.dataset.rows) + entry.rows.length / (wallColumns + 1));
    this.root.dataset.time = String(this.#last?.[0] ?? "");
    this.age(now);
  }

  draw(colors) { this.stack.draw(colors); }

  say(words) {
    if (this.#words.textContent !== words) this.#words.textContent = words;
    this.root.classList.toggle("is-lost", words !== "");
  }

  age(now) {
    const age = now - this.#arrived;
    this.say(this.#lost ? "host's link lost" : age > staleMs ? `${Math.round(age / 1000)} s old` : "");
  }

  #push(row) {
    const last = this.#last;
    this.#last = row.slice();
    if (last === null) return;
    const step = row[0] - last[0];
    const rate = name => rateOf(step, row[1 + column[name]] - last[1 + column[name]]);
    const exits = rate("exits");
    const kinds = [rate("irq"), rate("halt"), rate("io")].map(value => Number.isNaN(value) ? 0 : value);
    const other = exits - kinds[0] - kinds[1] - kinds[2];
    this.stack.push(row[0], Number.isNaN(exits) ? null : [...kinds, Math.max(0, other)]);
    const interrupts = rate("interrupts");
    write(this.#exits, `${compact(exits)} exits/s`);
    write(this.#ratio, interrupts > 0 ? `${compact(exits / interrupts)} per interrupt` : "");
    write(this.#guest, percent(rate("guest") / 1e7));
  }
}

function write(part, text) {
  if (part.textContent !== text) part.textContent = text;
}
