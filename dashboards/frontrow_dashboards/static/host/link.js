// The page's one connection: a WebSocket that is opened again for ever, resumes from the last number it has seen,
// and can always say in which state it is.
//
// Phases: "connecting" (no answer yet), "live" (a message came), "waiting" (lost; next try at `retryAt`),
// "forbidden" and "unknown_room" (a person must act; still tried, but rarely).

const FIRST_CEILING_MS = 1_000;
const LAST_CEILING_MS = 30_000;
const REFUSED_WAIT_MS = 60_000; // a token or a room may be added while the dock stays open
const ANSWER_WITHIN_MS = 10_000;
// The server says something at least every few seconds. A connection that is silent for this long is half open (a
// sleeping laptop, a dead proxy): the browser would not notice for minutes.
const SILENT_MS = 40_000;

const REFUSALS = new Map([
  [4401, "forbidden"],
  [4403, "forbidden"],
  [4404, "unknown_room"],
]);

/** Return how long to wait, in ms, after so many failures in a row (from 1); half fixed, half drawn. */
export function backoff(failures, random) {
  const ceiling = Math.min(LAST_CEILING_MS, FIRST_CEILING_MS * 2 ** Math.min(failures - 1, 16));
  return ceiling / 2 + (ceiling / 2) * random();
}

export class Link {
  /** `address(since)` gives the URL; `onMessage(text)` returns the number to resume from; `onChange()` on any phase. */
  constructor({ address, onMessage, onChange, random = Math.random }) {
    this.phase = "connecting";
    this.failures = 0; // in a row
    this.code = null; // of the last close …
    this.reason = ""; // … and what the server said of it
    this.retryAt = null; // performance.now() of the next try
    this.lostAt = null; // performance.now() when the last live connection ended, or the page began
    this._address = address;
    this._onMessage = onMessage;
    this._onChange = onChange;
    this._random = random;
    this._socket = null;
    this._since = null;
    this._timer = 0;
  }

  /** Connect now, whatever was planned. */
  open() {
    clearTimeout(this._timer);
    this._drop();
    this.lostAt ??= performance.now();
    this.retryAt = null;
    if (this.failures === 0) this._enter("connecting");
    const socket = new WebSocket(this._address(this._since));
    this._socket = socket;
    this._timer = setTimeout(() => this._failed(socket, null), ANSWER_WITHIN_MS);
    socket.addEventListener("message", (event) => this._heard(socket, event.data));
    socket.addEventListener("close", (event) => this._failed(socket, event.code, event.reason));
  }

  /** Try again at once if a try is being waited for: the network came back, or a person asked. */
  hurry() {
    if (this.phase !== "live" && this.retryAt !== null) this.open();
  }

  _heard(socket, text) {
    if (socket !== this._socket) return;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._failed(socket, null), SILENT_MS);
    this._since = this._onMessage(text);
    if (this.phase === "live") return;
    this.failures = 0; // only a message proves that the other side works: a server that accepts and falls over does not
    this.lostAt = null;
    this.code = null;
    this._enter("live");
  }

  _failed(socket, code, reason = "") {
    if (socket !== this._socket) return;
    clearTimeout(this._timer);
    this._drop();
    this.failures += 1;
    this.code = code;
    this.reason = reason;
    this.lostAt ??= performance.now();
    const refusal = REFUSALS.get(code);
    if (refusal !== undefined) this._since = null; // if it is let in again, it starts anew
    const wait = refusal === undefined ? backoff(this.failures, this._random) : REFUSED_WAIT_MS;
    this.retryAt = performance.now() + wait;
    this._timer = setTimeout(() => this.open(), wait);
    this._enter(refusal ?? "waiting");
  }

  _drop() {
    const socket = this._socket;
    this._socket = null; // its late events are no longer ours
    if (socket !== null && socket.readyState < WebSocket.CLOSING) socket.close();
  }

  _enter(phase) {
    this.phase = phase;
    this._onChange();
  }
}
