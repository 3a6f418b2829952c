// Keys for people who would rather not reach for the mouse. Ctrl-K opens the palette everywhere; single keys work outside of fields,
// and can be switched off (WCAG 2.2, 2.1.4), for they are in the way of those who dictate.

const offKey = "exitless.single-keys-off";
const waitMs = 1500;
const places = { o: "/", h: "/hosts", v: "/vms", w: "/wall", d: "/devices", f: "/findings", p: "/operations", e: "/events", a: "/audit", c: "/compare", s: "/settings" };

let after = "";
let timer = 0;

document.addEventListener("keydown", event => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    togglePalette();
    return;
  }
  const palette = document.getElementById("palette");
  if (palette?.open) { walk(palette, event); return; }
  if (event.ctrlKey || event.metaKey || event.altKey || singleKeysOff() || isField(event.target) || document.querySelector("dialog[open], .mud-dialog") !== null) return;
  if (after === "g" && event.key in places) {
    event.preventDefault();
    go(places[event.key]);
  } else if (event.key === "/") {
    const search = document.querySelector("main input[type=search]");
    if (search !== null) { event.preventDefault(); search.focus(); search.select(); }
  } else if (event.key === "?") {
    event.preventDefault();
    openHelp();
  }
  after = event.key === "g" && after !== "g" ? "g" : "";
  clearTimeout(timer);
  if (after !== "") timer = setTimeout(() => { after = ""; }, waitMs);
});

// One listener for what is drawn later.
document.addEventListener("click", event => {
  if (event.target.closest("[data-open-palette]") !== null) togglePalette();
  if (event.target.closest("[data-open-shortcuts]") !== null) { document.getElementById("palette")?.close(); openHelp(); }
  const dialog = event.target.closest("dialog");
  // A link leads away; a press beside the dialog's content means the dialog itself was hit.
  if (dialog !== null && (event.target === dialog || event.target.closest("a[href], [data-close]") !== null)) dialog.close();
});

document.addEventListener("change", event => {
  if (event.target.id !== "single-keys") return;
  try {
    if (event.target.checked) localStorage.removeItem(offKey); else localStorage.setItem(offKey, "1");
  } catch { /* then they stay on */ }
});

function togglePalette() {
  const palette = document.getElementById("palette");
  if (palette === null) return;
  if (palette.open) { palette.close(); return; }
  const input = palette.querySelector("input");
  palette.showModal();
  input.select();
  input.focus();
}

function openHelp() {
  const help = document.getElementById("shortcuts");
  if (help === null) return;
  help.querySelector("#single-keys").checked = !singleKeysOff();
  help.showModal();
}

// Up and down move through the links; Enter in the field takes the first.
function walk(palette, event) {
  const links = [...palette.querySelectorAll("a[href]")];
  const at = links.indexOf(document.activeElement);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const next = event.key === "ArrowDown" ? at + 1 : at - 1;
    if (next < 0) palette.querySelector("input").focus(); else links[Math.min(next, links.length - 1)]?.focus();
  } else if (event.key === "Enter" && at < 0 && links.length > 0) {
    event.preventDefault();
    links[0].click();
  }
}

// By the page's own links, so that Blazor goes there without loading anew.
function go(path) {
  const link = document.querySelector(`.nav-links a[href="${path}"]`);
  if (link !== null) link.click(); else location.assign(path);
}

function isField(target) {
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable], .xterm") !== null;
}

function singleKeysOff() {
  try { return localStorage.getItem(offKey) !== null; } catch { return false; }
}
