// <saved-views list="vms">: searches of a list that a person has named, kept in this browser. What is kept is the address, which is the list's whole state.

const key = list => `exitless.views.${list}`;

/** The views of a list, by name. Storage that is switched off, or holds something else, has none. */
export function read(storage, list) {
  try {
    const kept = JSON.parse(storage.getItem(key(list)) ?? "[]");
    return Array.isArray(kept) ? kept.filter(view => typeof view?.name === "string" && typeof view?.query === "string") : [];
  } catch {
    return [];
  }
}

/** Keeps a view; one of the same name is replaced. Returns the views. */
export function keep(storage, list, name, query) {
  const views = [...read(storage, list).filter(view => view.name !== name), { name, query }].sort((a, b) => a.name.localeCompare(b.name));
  try { storage.setItem(key(list), JSON.stringify(views)); } catch { /* then it lasts as long as this page */ }
  return views;
}

/** Forgets a view. Returns the others. */
export function forget(storage, list, name) {
  const views = read(storage, list).filter(view => view.name !== name);
  try { storage.setItem(key(list), JSON.stringify(views)); } catch { /* it comes back with the page */ }
  return views;
}

class SavedViews extends (globalThis.HTMLElement ?? Object) {
  #select;

  connectedCallback() {
    if (this.#select !== undefined) return;
    this.#select = document.createElement("select");
    this.#select.className = "plain-input";
    this.#select.setAttribute("aria-label", "Saved views");
    this.#select.addEventListener("change", () => this.#chosen());
    // Filled at the moment when it is opened: another tab may have kept a view.
    this.#select.addEventListener("pointerdown", () => this.#fill());
    this.#select.addEventListener("focus", () => this.#fill());
    this.append(this.#select);
    this.#fill();
  }

  get #list() { return this.getAttribute("list"); }

  #fill() {
    const views = read(localStorage, this.#list);
    const query = location.search;
    const options = [new Option("Views", "", true, true), ...views.map((view, i) => new Option(view.query === query ? `${view.name} ✓` : view.name, `open ${i}`)), new Option("Save this view…", "save")];
    const current = views.findIndex(view => view.query === query);
    if (current >= 0) options.push(new Option(`Forget “${views[current].name}”`, `forget ${current}`));
    this.#select.replaceChildren(...options);
  }

  #chosen() {
    const [what, at] = this.#select.value.split(" ");
    const view = read(localStorage, this.#list)[Number(at)];
    this.#select.value = "";
    if (what === "open" && view !== undefined) globalThis.Blazor.navigateTo(location.pathname + view.query);
    else if (what === "forget" && view !== undefined) forget(localStorage, this.#list, view.name);
    else if (what === "save") {
      const name = prompt("A name for this view");
      if (name !== null && name.trim() !== "") keep(localStorage, this.#list, name.trim(), location.search);
    }
    this.#fill();
  }
}

if (globalThis.customElements !== undefined) customElements.define("saved-views", SavedViews);
