// <time-ago at="ms"> and <local-time at="ms">: the server knows the moment, the browser knows its clock and zone.

const tickMs = 1000;
const agoElements = new Set();

/** "just now", "12 s ago", "5 min ago", "3 h ago", "2 d ago"; the same with "in" for what is to come. */
export function agoWords(milliseconds) {
  const seconds = Math.round(Math.abs(milliseconds) / 1000);
  if (seconds < 2) return "just now";
  const amount = seconds < 90 ? `${seconds} s`
    : seconds < 5400 ? `${Math.round(seconds / 60)} min`
    : seconds < 129_600 ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
  return milliseconds < 0 ? `in ${amount}` : `${amount} ago`;
}

const format = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" });
const momentOf = element => Number(element.getAttribute("at"));

class TimeAgo extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["at"];
  connectedCallback() { agoElements.add(this); this.show(); }
  disconnectedCallback() { agoElements.delete(this); }
  attributeChangedCallback() { if (this.isConnected) this.show(); }
  show() {
    const at = momentOf(this);
    const text = agoWords(Date.now() - at);
    if (this.textContent !== text) this.textContent = text;
    this.title = format.format(at);
  }
}

class LocalTime extends (globalThis.HTMLElement ?? Object) {
  static observedAttributes = ["at"];
  connectedCallback() { this.show(); }
  attributeChangedCallback() { if (this.isConnected) this.show(); }
  show() { this.textContent = format.format(momentOf(this)); }
}

if (globalThis.customElements !== undefined) {
  customElements.define("time-ago", TimeAgo);
  customElements.define("local-time", LocalTime);
  setInterval(() => { if (!document.hidden) for (const element of agoElements) element.show(); }, tickMs);
}
