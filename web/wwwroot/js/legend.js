// The legend of a chart: what each colour is, and its value now or under the cursor.

import { element, show } from "./dom.js";

export class LegendTable {
  #format;
  #rows = new Map();
  #total = null;
  root = element("div", { class: "legend", role: "list" });

  constructor(format) { this.#format = format; }

  /** rows: [{name, color, value}] bottom first; shown top first, as they lie in a stack. total: {name, value}, or null for none. */
  render(rows, total) {
    const names = rows.map(row => row.name).join("\n");
    if (this.root.dataset.names !== names) this.#build(rows, names);
    for (const row of rows) {
      const { item, value } = this.#rows.get(row.name);
      show(value, this.#format(row.value), row.value);
      item.classList.toggle("is-zero", !(row.value > 0));
    }
    this.#total.item.hidden = total === null;
    if (total === null) return;
    this.#total.name.textContent = total.name;
    this.#total.item.dataset.series = total.name;
    show(this.#total.value, this.#format(total.value), total.value);
  }

  #build(rows, names) {
    this.#rows.clear();
    this.root.dataset.names = names;
    this.#total = line("total", null);
    this.#total.item.classList.add("is-total");
    const items = rows.toReversed().map(row => {
      const made = line(row.name, row.color);
      this.#rows.set(row.name, made);
      return made.item;
    });
    this.root.replaceChildren(this.#total.item, ...items);
  }
}

function line(name, color) {
  const swatch = element("span", { class: "legend-swatch" });
  if (color !== null) swatch.style.background = `var(${color})`;
  const value = element("span", { class: "legend-value" });
  const label = element("span", { class: "legend-name", title: name }, name);
  const item = element("div", { class: "legend-item", role: "listitem", "data-series": name }, swatch, label, value);
  return { item, name: label, value };
}
