// The serial console of one VM: xterm.js over the page's own link. Output goes on where it stood after a reconnect.

import { FitAddon } from "../lib/xterm/addon-fit.mjs";
import { Terminal } from "../lib/xterm/xterm.mjs";
import { decodeConsole } from "./frames.js";
import { element, button } from "./dom.js";
import { linkState, openStream, send } from "./link.js";

const scrollbackLines = 5000;

/** Fills the element with the VM's console. Returns what Blazor calls later: dispose. */
export function attach(host, vmId) {
  return new ConsolePanel(host, vmId);
}

class ConsolePanel {
  #terminal;
  #fit = new FitAddon();
  #next = 0;               // the offset of the first byte that is not here yet
  #input = Promise.resolve();
  #up = false;
  #stream;
  #observer;
  #status;
  #restyle = () => { this.#terminal.options.theme = themeColors(); };

  constructor(host, vmId) {
    this.#status = element("span", { class: "console-status", role: "status", "data-testid": "console-status" });
    const screen = element("div", { class: "console-screen", "data-testid": "console-screen" });
    const clear = button("Clear", () => this.#terminal.clear());
    host.replaceChildren(element("div", { class: "console-bar" }, element("span", { class: "mono" }, "ttyS0"), this.#status, element("div", { class: "graph-spacer" }), clear), screen);
    this.#terminal = new Terminal({
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--font-mono"),
      fontSize: 12.5, lineHeight: 1.2, scrollback: scrollbackLines, cursorBlink: true, theme: themeColors(),
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.open(screen);
    this.#observer = new ResizeObserver(() => { if (screen.clientWidth > 0) this.#fit.fit(); });
    this.#observer.observe(screen);
    this.#terminal.onData(text => this.#type(vmId, new TextEncoder().encode(text)));
    this.#terminal.onBinary(text => this.#type(vmId, Uint8Array.from(text, char => char.charCodeAt(0))));
    document.addEventListener("exitless:theme", this.#restyle);
    this.#stream = openStream("AttachConsole", () => [vmId, this.#next], item => this.#show(item), (state, words) => {
      this.#up = state === linkState.up;
      this.#status.textContent = this.#up ? "" : state === linkState.connecting ? "Connecting…" : `${words} Trying again.`;
    });
    this.#terminal.focus();
  }

  dispose() {
    this.#stream.close();
    this.#observer.disconnect();
    document.removeEventListener("exitless:theme", this.#restyle);
    this.#terminal.dispose();
  }

  #show(item) {
    const { offset, data } = decodeConsole(item);
    if (offset < this.#next) this.#terminal.reset(); // a new run of the VM counts from 0 again
    else if (offset > this.#next) this.#terminal.write(gapWords(this.#next, offset));
    this.#next = offset + data.length;
    this.#terminal.write(data);
  }

  // One at a time, so that keys arrive in the order they were pressed.
  #type(vmId, data) {
    this.#input = this.#input.then(() => send("WriteConsole", vmId, data)).catch(failure => {
      this.#status.textContent = this.#up ? `Not sent: ${failure.message}` : "Not sent: the console is not connected.";
    });
  }
}

function gapWords(next, offset) {
  const words = next === 0 ? `${offset} earlier bytes are no longer kept` : `${offset - next} bytes are missing here`;
  return `\r\n\x1b[2m[${words}]\x1b[0m\r\n`;
}

// The sixteen colours of a terminal, legible on our background.
const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const palette = (normal, bright) => Object.fromEntries(names.flatMap((name, i) =>
  [[name, normal[i]], [`bright${name[0].toUpperCase()}${name.slice(1)}`, bright[i]]]));
const ansi = {
  dark: palette(
    ["#3b4650", "#f08075", "#62c68c", "#e2b457", "#70b3ec", "#c792d8", "#5cc7b6", "#d5dce2"],
    ["#71808c", "#ff9c92", "#83dca8", "#f2cb7c", "#95caf6", "#dab0e6", "#83dccf", "#f5f8fa"]),
  light: palette(
    ["#1a2228", "#b3352a", "#1b7d48", "#8f5f06", "#1c69ad", "#8a3fa0", "#0b7568", "#5c6873"],
    ["#4d5a66", "#cf4a3e", "#23955a", "#a97409", "#2a7fca", "#a355ba", "#109080", "#2b343b"]),
};

function themeColors() {
  const style = getComputedStyle(document.documentElement);
  const color = name => style.getPropertyValue(name).trim();
  return {
    ...ansi[document.documentElement.dataset.theme === "dark" ? "dark" : "light"],
    background: color("--console-background"), foreground: color("--console-text"), cursor: color("--accent"),
    cursorAccent: color("--console-background"), selectionBackground: color("--console-selection"),
  };
}
