// Two words for making elements, so that the panels read as what they contain.

/** An element with attributes and children (strings become text, never markup). */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A plain button that does something when pressed. */
export function button(text, onPress, attributes = {}) {
  const made = element("button", { type: "button", class: "plain-button", ...attributes }, text);
  made.addEventListener("click", onPress);
  return made;
}

/** Writes a figure as people read it, and the number itself beside it for whoever reads the page by program ("" when unknown). */
export function show(part, text, value) {
  if (part.textContent !== text) part.textContent = text;
  part.dataset.value = Number.isFinite(value) ? String(value) : "";
}
