// The figures over the graphs: the newest values, large enough to read from across a room.

import { bytes, compact, percent } from "./format.js";
import { element, show } from "./dom.js";
import { recentMean } from "./rates.js";
import { residentKey } from "./cpu.js";
import { fromGuestKey, marginalKey, totalKey } from "./grades.js";

const ratioSamples = 10;

export class Figures {
  #parts = {};
  root;

  constructor() {
    const figure = (name, label, hint) => {
      const value = this.#parts[name] = element("span", { class: "figure-value", "data-testid": name }, "–");
      return element("div", { class: "figure", title: hint }, element("span", { class: "figure-label" }, label), value);
    };
    this.root = element("div", { class: "figures" },
      figure("exits-per-second", "Exits / s", "KVM's statistic “exits”, summed over the vCPUs"),
      figure("interrupts-per-second", "Interrupts / s", "Interrupts of the VM's assigned devices, as the host counts them"),
      figure("exits-per-interrupt", "Exits / interrupt", "Over the last 10 s. All exits count here, whatever caused them. Where interrupts pass the host by, they are divided by what the guest says that it counted"),
      figure("marginal-exits", "Marginal exits", "Over the last 10 s: exits under load less exits at rest, for each device interrupt. Known once the guest has been at rest, halted, for 3 s"),
      figure("cpu-guest", "CPU in guest", "Time in guest mode, per cent of one CPU"),
      figure("cpu-host", "CPU on host", "Time of the VM's process outside guest mode, per cent of one CPU"),
      figure("resident-memory", "Resident memory", "RSS of the VM's process, guest memory included"));
  }

  render(ring, exits, interrupts, cpu) {
    const last = exits.times.length - 1;
    const at = values => last < 0 ? NaN : values[last];
    this.#set("exits-per-second", compact, at(exits.total));
    this.#set("interrupts-per-second", compact, at(interrupts.total));
    // Where interrupts pass the host by, its count is no divisor; the agent has divided by the guest's.
    const told = ring.last(fromGuestKey) === 1 ? ring.last(totalKey) : NaN;
    const perInterrupt = Number.isNaN(told) ? recentMean(exits.total, ratioSamples) / recentMean(interrupts.total, ratioSamples) : told >= 0 ? told / 1000 : NaN;
    this.#set("exits-per-interrupt", compact, Number.isFinite(perInterrupt) ? perInterrupt : NaN);
    const marginal = ring.last(marginalKey);
    this.#set("marginal-exits", compact, marginal >= 0 ? marginal / 1000 : NaN);
    this.#set("cpu-guest", percent, at(cpu.guest));
    this.#set("cpu-host", percent, at(cpu.host));
    this.#set("resident-memory", bytes, ring.last(residentKey));
  }

  #set(name, format, value) {
    show(this.#parts[name], format(value), value);
  }
}
