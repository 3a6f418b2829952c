// How the interrupts of each MSI-X vector reach the guest: the agent's grade of the last second, in words.
// The numbers are those of src/Agent/Grading/VectorGrade.cs and never change their meaning; docs/exit-less.md explains them.

import { compact } from "./format.js";
import { element, show } from "./dom.js";
import { ratesOf, recentMean } from "./rates.js";

const gradeKey = /^grade\.([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\.msix\.(\d+)$/;
const guestKey = /^guest\.[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\.msix\.\d+$/;
const ageKey = "guest.age_ms";
const freshMs = 3000;      // src/Agent/GuestCounts/GuestWord.cs
export const marginalKey = "grade.marginal_exits_per_1000_interrupts";
export const totalKey = "grade.exits_per_1000_interrupts";
export const fromGuestKey = "grade.from_guest";

const silent = "The host's count stands still, and interrupts can pass this host by: it is idle, posted or in part direct, and nobody counts in the guest";
const words = new Map([
  [0, { name: "idle", exitless: null, meaning: "No interrupt came" }],
  [1, { name: "injected", exitless: false, meaning: "Each makes the vCPU exit, and KVM puts it in at the next entry" }],
  [2, { name: "woken", exitless: null, meaning: "The vCPU had halted; the interrupt wakes it, and the exit is the halt's" }],
  [3, { name: "assisted", exitless: true, meaning: "No exit, but a CPU of the host takes it and passes it on" }],
  [4, { name: "posted", exitless: true, meaning: "The IOMMU hands it to the running vCPU; no CPU of the host sees it" }],
  [5, { name: "direct", exitless: true, meaning: "ELI: what comes, the guest takes through its shadow IDT; the host does not see it, and cannot count it" }],
  [16, { name: "unknown", exitless: null, meaning: silent }],
  [17, { name: "unknown", exitless: null, meaning: "This KVM lacks a statistic that tells the grades apart" }],
  [18, { name: "unknown", exitless: null, meaning: "The vCPUs exit for the host's interrupts at least as often as this one comes, and KVM does not count for which" }],
]);
const notTold = { name: "unknown", exitless: null, meaning: "The agent gives a grade that this page does not know" };

/** The grade's name, whether it is exit-less (null: it does not count), and what it means. */
export function gradeOf(code) {
  return words.get(code) ?? notTold;
}

/** Whether the grade card needs this series. */
export function isGradeSeries(key) {
  return gradeKey.test(key) || guestKey.test(key) || key === ageKey || key === marginalKey || key === totalKey || key === fromGuestKey;
}

/** The newest grade of every vector, ordered by device and vector. */
export function newestGrades(ring) {
  return ring.keys
    .map(key => ({ key, match: gradeKey.exec(key) }))
    .filter(series => series.match !== null)
    .map(({ key, match }) => ({ address: match[1], vector: Number(match[2]), vfio: key.replace("grade.", "vfio."), guest: key.replace("grade.", "guest."), code: ring.last(key) }))
    .filter(line => !Number.isNaN(line.code))
    .sort((a, b) => a.address.localeCompare(b.address) || a.vector - b.vector);
}

/** What the guest says that it counts, in words, and per second by vector; null: nobody asks it. A report that has grown old says nothing. */
export function guestWord(ring, lines) {
  if (!ring.keys.includes(ageKey)) return null;
  const age = ring.last(ageKey);
  const fresh = age >= 0 && age < freshMs;
  const times = ring.times();
  const rates = new Map(lines.map(line => [line.guest, fresh && ring.keys.includes(line.guest) ? recentMean(ratesOf(times, ring.column(line.guest)), 3) : NaN]));
  const words = !fresh ? (age < 0 ? "The guest has not reported yet: its reporter does not run, or cannot reach the host." : "The guest's reporter has fallen silent.")
    : ring.last(fromGuestKey) === 1 ? "Grades and exits per interrupt rest on what the guest says that it counted: its word, which nobody checks."
      : "The guest's counts are its own word; what the host sees suffices for these grades.";
  return { words, rates };
}

/** One sentence for the whole VM. lines: what newestGrades gives. */
export function verdict(lines) {
  if (lines.length === 0) return "No device of this VM has armed an interrupt.";
  const busy = lines.map(line => gradeOf(line.code)).filter(grade => grade.name !== "idle");
  if (busy.length === 0) return "No device interrupt came in the last second.";
  const names = [...new Set(busy.map(grade => grade.name))];
  if (busy.every(grade => grade.exitless === true)) return `Exit-less: every vector in use is ${names.join(" or ")}.`;
  if (names.length === 1 && names[0] === "woken") return "Not exit-less: the vCPU halts between interrupts, and each wakes it.";
  const exiting = busy.filter(grade => grade.exitless === false).length;
  if (exiting > 0) return `Not exit-less: ${exiting === busy.length ? "every vector in use exits" : `${exiting} of ${busy.length} vectors in use exit`} for its interrupts.`;
  return `Not told: ${names.join(", ")}.`;
}

/** The card under the graphs: one row a vector. */
export class GradeCard {
  #guest = element("p", { class: "chart-note", "data-testid": "guest-word", hidden: "" });
  #guestHead = element("th", { class: "number", hidden: "" }, "Guest's count / s");
  #verdict = element("p", { class: "grade-verdict", role: "status", "data-testid": "grade-verdict" });
  #body = element("tbody");
  #rows = new Map();
  root;

  constructor() {
    const head = element("thead", {}, element("tr", {},
      element("th", {}, "Vector"), element("th", {}, "Grade"), element("th", { class: "number" }, "Interrupts / s"), this.#guestHead, element("th", { class: "hide-small" }, "What that means")));
    this.root = element("section", { class: "chart-card", "data-testid": "grades" },
      element("header", { class: "chart-heading" }, element("h2", {}, "Interrupt delivery"), element("span", { class: "chart-unit" }, "by MSI-X vector, in the last second; what KVM counts per vCPU is attributed")),
      this.#verdict, this.#guest, element("table", { class: "plain-table" }, head, this.#body));
  }

  /** rates: vector series key -> interrupts per second. guest: what guestWord gives. */
  render(lines, rates, guest) {
    const text = verdict(lines);
    if (this.#verdict.textContent !== text) this.#verdict.textContent = text;
    this.#guest.hidden = this.#guestHead.hidden = guest === null;
    if (guest !== null && this.#guest.textContent !== guest.words) this.#guest.textContent = guest.words;
    const wanted = new Set(lines.map(line => line.vfio));
    if (wanted.size !== this.#rows.size || lines.some(line => !this.#rows.has(line.vfio))) this.#build(lines);
    for (const line of lines) {
      const { grade, rate, counted, meaning } = this.#rows.get(line.vfio);
      const told = gradeOf(line.code);
      if (grade.textContent !== told.name) grade.textContent = told.name;
      grade.dataset.grade = told.name;
      if (meaning.textContent !== told.meaning) meaning.textContent = told.meaning;
      const value = rates.get(line.vfio) ?? NaN;
      show(rate, compact(value), value);
      counted.hidden = guest === null;
      const said = guest?.rates.get(line.guest) ?? NaN;
      show(counted, compact(said), said);
    }
  }

  #build(lines) {
    this.#rows.clear();
    this.#body.replaceChildren(...lines.map(line => {
      const row = { grade: element("span", { class: "grade" }), rate: element("td", { class: "number" }), counted: element("td", { class: "number", "data-testid": "guest-count" }), meaning: element("td", { class: "hide-small quiet" }) };
      this.#rows.set(line.vfio, row);
      return element("tr", {}, element("td", { class: "mono" }, `${line.address} · msix ${line.vector}`), element("td", {}, row.grade), row.rate, row.counted, row.meaning);
    }));
  }
}
