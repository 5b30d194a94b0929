// What was tapped and is not yet done. Everything goes through here: it is written down first, sent with a key of its own,
// and struck off when the daemon has answered. So nothing is lost by a tunnel or a reload, and nothing is done twice: the daemon
// does a key once, however often it hears it.

import { backoff } from "../host/link.js";

const KEPT = "frontrow.sales.queue";
const WAITING_AFTER_MS = 1_200; // what takes no longer is not worth a word

/** Return a key that nobody else makes. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Queue {
  /**
   * `send(item)` returns {status, body}. `onDone(item, answer)` hears of what was done, `onRefused(item, answer)` of what
   * the daemon will not do, `onChange()` of every change. `who()` is whose items may be sent now: undefined, nobody's.
   */
  constructor({ storage, send, who, onDone, onRefused, onChange }) {
    this._storage = storage;
    this._send = send;
    this._who = who;
    this._onDone = onDone;
    this._onRefused = onRefused;
    this._onChange = onChange;
    this._memory = []; // where the browser keeps nothing
    this._sending = false;
    this._failures = 0;
    this._timer = 0;
    this.durable = true;
  }

  /** Write down that `act` with `wish` is to be done to a lead, and begin to send. Return the item. */
  add(lead, act, wish, name) {
    const item = { key: newKey(), lead, act, wish, name, who: this._who() ?? null, at: Date.now(), tries: 0 };
    this._keep([...this._items(), item]);
    this.flush();
    setTimeout(() => this._onChange(), WAITING_AFTER_MS + 50);
    return item;
  }

  /** Return this seller's items, in order; of one lead, or of all. */
  items(lead = null) {
    if (this._count() === 0) return [];
    const who = this._who(); // undefined, while it is not known who bears the token, is nobody's
    return this._items().filter((item) => item.who === who && (lead === null || item.lead === lead));
  }

  /** Return those that people should be told about: sent in vain, or for some time. */
  waiting(lead = null) {
    const now = Date.now();
    return this.items(lead).filter((item) => item.tries > 0 || now - item.at > WAITING_AFTER_MS || now < item.at);
  }

  /** Send what waits, in order. Of a lead whose item was not answered the later ones wait; other leads' do not. */
  async flush() {
    clearTimeout(this._timer);
    if (this._sending) return;
    this._sending = true;
    try {
      const held = new Set();
      for (let item = this._next(held); item !== undefined; item = this._next(held)) {
        const answer = await this._send(item);
        if (isAnswered(answer.status)) this._settle(item, answer);
        else {
          this._again(item);
          held.add(item.lead);
          if (answer.status === 0 || answer.status === 401) break; // it is the network or the token, not the lead
        }
      }
      this._failures = held.size === 0 ? 0 : this._failures + 1;
      if (held.size > 0) this._timer = setTimeout(() => this.flush(), backoff(this._failures, Math.random));
    } finally {
      this._sending = false;
    }
  }

  _next(held) {
    return this._who() === undefined ? undefined : this.items().find((item) => !held.has(item.lead));
  }

  _settle(item, answer) {
    this._keep(this._items().filter((other) => other.key !== item.key));
    if (answer.status < 300) this._onDone(item, answer);
    else this._onRefused(item, answer);
    this._onChange();
  }

  _again(item) {
    this._keep(this._items().map((other) => (other.key === item.key ? { ...other, tries: other.tries + 1 } : other)));
    this._onChange();
  }

  // Asked for each card each second, so without reading all that is kept.
  _count() {
    if (!this.durable) return this._memory.length;
    try {
      return (this._storage.getItem(KEPT) ?? "[]") === "[]" ? 0 : 1;
    } catch {
      return 0;
    }
  }

  // Read each time: another window of the same browser may have sent some meanwhile.
  _items() {
    if (!this.durable) return this._memory;
    try {
      const found = JSON.parse(this._storage.getItem(KEPT) ?? "[]");
      return Array.isArray(found) ? found.filter((item) => typeof item?.key === "string" && typeof item.lead === "string") : [];
    } catch {
      return [];
    }
  }

  _keep(items) {
    try {
      if (this.durable) this._storage.setItem(KEPT, JSON.stringify(items));
    } catch {
      this.durable = false;
    }
    this._memory = items;
  }
}

// 429 and 5xx: later. 401: the token may be made good again. Everything else is an answer.
function isAnswered(status) {
  return status >= 200 && status < 500 && status !== 401 && status !== 408 && status !== 429;
}
