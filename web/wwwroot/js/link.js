// The page's own connection to the live hub, outside the Blazor circuit: charts and consoles go on while that reconnects.
// One connection serves every stream of the page; it is opened by the first and closed after the last.

import "../lib/signalr/signalr.min.js";
import "../lib/signalr/signalr-protocol-msgpack.min.js";

const retryMs = [0, 1000, 2000];
const retryDelay = attempt => retryMs[Math.min(attempt, retryMs.length - 1)];

let connection = null;
let starting = null;
const streams = new Set();

export const linkState = { connecting: "connecting", up: "up", lost: "lost" };

/**
 * A stream of the hub that is opened again whenever the connection comes back.
 * argumentsNow() is asked at each opening, so that a stream goes on where it stood.
 * onState(state, words) hears of the connection and of the stream's failures.
 */
export function openStream(method, argumentsNow, onItem, onState) {
  const stream = new HubStream(method, argumentsNow, onItem, onState);
  streams.add(stream);
  stream.open();
  return stream;
}

/** Calls a hub method; rejects when the link is not up. */
export async function send(method, ...args) {
  if (connection?.state !== "Connected") throw new Error("The page has no link to the control plane.");
  await connection.invoke(method, ...args);
}

class HubStream {
  #subscription = null;
  #timer = 0;
  #attempt = 0;
  #closed = false;

  constructor(method, argumentsNow, onItem, onState) {
    Object.assign(this, { method, argumentsNow, onItem, onState });
  }

  async open() {
    if (this.#closed) return;
    this.onState(linkState.connecting);
    try {
      await connected();
      if (this.#closed) return;
      this.#subscription = connection.stream(this.method, ...this.argumentsNow()).subscribe({
        next: item => { this.#attempt = 0; this.onItem(item); },
        complete: () => this.#again("The control plane ended the stream."),
        error: failure => this.#again(wordsOf(failure)),
      });
      this.onState(linkState.up);
    } catch (failure) {
      this.#again(wordsOf(failure));
    }
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#subscription?.dispose();
    streams.delete(this);
    if (streams.size === 0 && connection !== null) {
      const old = connection;
      connection = null;
      starting = null;
      old.stop();
    }
  }

  #again(words) {
    if (this.#closed) return;
    this.#subscription = null;
    this.onState(linkState.lost, words);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), Math.max(500, retryDelay(this.#attempt++)));
  }
}

function connected() {
  if (connection === null) {
    connection = new signalR.HubConnectionBuilder()
      .withUrl("/hubs/live")
      .withHubProtocol(new signalR.protocols.msgpack.MessagePackHubProtocol())
      .configureLogging(signalR.LogLevel.None)
      .build();
  }
  if (connection.state === "Connected") return Promise.resolve();
  // Streams try again by themselves, so the connection needs no retry of its own; they only must not start it twice.
  starting ??= connection.start().finally(() => { starting = null; });
  return starting;
}

function wordsOf(failure) {
  const text = String(failure?.message ?? failure);
  if (failure?.statusCode === 401 || text.includes("'401'")) return "The session has ended. Sign in again.";
  const hub = /HubException: (.*)$/s.exec(text);
  return hub === null ? "The control plane does not answer." : hub[1];
}
