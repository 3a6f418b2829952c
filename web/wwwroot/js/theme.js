// Loaded in <head> as a classic script, before anything is painted, so that a dark page never flashes white.
// The choice (system, light, dark) is remembered in this browser; "system" follows the desktop as it changes.
(() => {
  const storageKey = "exitless.theme";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const read = () => {
    try {
      const stored = localStorage.getItem(storageKey);
      return stored === "light" || stored === "dark" ? stored : "system";
    } catch {
      return "system"; // storage is switched off: the desktop decides
    }
  };
  let choice = read();
  const apply = () => {
    const theme = choice === "system" ? (dark.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.theme = theme;
    document.documentElement.dataset.themeChoice = choice;
    document.dispatchEvent(new CustomEvent("exitless:theme", { detail: theme }));
  };
  dark.addEventListener("change", apply);
  // Enhanced navigation replaces the attributes of <html>; put ours back.
  new MutationObserver(() => { if (!document.documentElement.dataset.theme) apply(); })
    .observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  apply();
  window.exitlessTheme = {
    get: () => choice,
    set: value => {
      choice = value === "light" || value === "dark" ? value : "system";
      try { localStorage.setItem(storageKey, choice); } catch { /* then it lasts as long as this page */ }
      apply();
    },
  };
})();
