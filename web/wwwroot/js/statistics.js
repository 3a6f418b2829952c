// Every series of the VM by its own name: the last raw value and, for a counter, its rate. Nothing the agent sends is hidden.

import { bytes, compact } from "./format.js";
import { element } from "./dom.js";
import { ratesOf } from "./rates.js";

export class StatisticsTable {
  #series = [];
  #rows = [];
  #last = null;
  #before = null;
  #body = element("tbody");
  #filter = element("input", { type: "search", class: "plain-input", placeholder: "Filter by name", "aria-label": "Filter statistics by name" });
  root;

  constructor() {
    const head = element("thead", {}, element("tr", {}, element("th", {}, "Statistic"), element("th", { class: "number" }, "Value"), element("th", { class: "number" }, "Per second")));
    this.#filter.addEventListener("input", () => this.#show());
    this.root = element("details", { class: "chart-card statistics", "data-testid": "all-statistics" },
      element("summary", {}, "All statistics"),
      this.#filter,
      element("div", { class: "statistics-scroll" }, element("table", { class: "plain-table" }, head, this.#body)));
    this.root.addEventListener("toggle", () => this.render());
  }

  setSchema(series) {
    this.#series = series;
    this.#last = this.#before = null;
    this.#rows = series.map(one => {
      const value = element("td", { class: "number" });
      const rate = element("td", { class: "number" });
      return { key: one.key, value, rate, row: element("tr", {}, element("td", { class: "mono" }, one.key), value, rate) };
    });
    this.#body.replaceChildren(...this.#rows.map(row => row.row));
    this.#show();
  }

  add(frame) {
    for (let row = Math.max(0, frame.rowCount - 2); row < frame.rowCount; row++) {
      if (this.#last !== null && frame.times[row] <= this.#last.time) continue;
      this.#before = this.#last;
      this.#last = { time: frame.times[row], values: frame.values.subarray(row * frame.columns, (row + 1) * frame.columns) };
    }
  }

  render() {
    if (!this.root.open || this.#last === null) return;
    this.#rows.forEach((row, i) => {
      const { kind, unit } = this.#series[i];
      const value = this.#last.values[i];
      row.value.textContent = unit === "bytes" ? bytes(value) : value.toLocaleString("en-US").replaceAll(",", "\u202f");
      row.rate.textContent = kind !== "counter" || this.#before === null ? ""
        : compact(ratesOf([this.#before.time, this.#last.time], [this.#before.values[i], value])[1]);
    });
  }

  #show() {
    const wanted = this.#filter.value.trim().toLowerCase();
    for (const row of this.#rows) row.row.hidden = !row.key.toLowerCase().includes(wanted);
  }
}
