// What the page knows of leads, from the daemon's messages: {type, seq, now, behind, …}. No page, no drawing.

const GRADES = new Set(["hot", "warm", "cold"]);
const CLOSED = new Set(["won", "lost", "invalid"]);
const SAID_FOR_MS = 8_000; // how long the place of a lead that has gone says where it went
const QUIET_MS = 10 * 60_000;

export const TABS = ["waiting", "mine", "team", "closed"];

export class Inbox {
  constructor() {
    this.forget();
  }

  /** Drop everything: who may not see leads must not find them in the page either. */
  forget() {
    this.leads = new Map(); // id → card, open ones and those closed since the page began
    this.farewells = new Map(); // id → {card, key, values, until}: of leads that went away while they were shown
    this.loaded = false;
    this.seller = undefined;
    this.name = "";
    this.behind = false;
    this.quietSince = null; // when, by the daemon's clock, something last arrived
    this._clock = null;
    this._fresh = new Set();
  }

  /** Take a message. Return null: there is nothing to resume from, each connection begins with a snapshot. */
  take(text) {
    const message = parse(text);
    if (message === null || !Number.isFinite(message.now)) return null;
    this._clock = { server: message.now, local: performance.now() };
    this.behind = message.behind === true;
    if (message.type === "snapshot" && Array.isArray(message.leads)) this._begin(message);
    if (message.type === "delta" && Array.isArray(message.leads)) this._change(message);
    this.quietSince ??= message.now;
    return null;
  }

  /** Take one card that an answer brought; an older one than is known changes nothing. */
  put(raw) {
    const card = readCard(raw);
    if (card === null) return;
    const known = this.leads.get(card.lead);
    if (known !== undefined && known.version > card.version) return;
    if (known === undefined && !card.claimed && !CLOSED.has(card.status)) this._fresh.add(card.lead);
    this.leads.set(card.lead, card);
    this.farewells.delete(card.lead);
  }

  /** Let a lead go with a sentence in its place. */
  farewell(id, key, values = {}) {
    const card = this.leads.get(id);
    this.leads.delete(id);
    if (card !== undefined) this.farewells.set(id, { card, key, values, until: performance.now() + SAID_FOR_MS });
  }

  /** Return the daemon's time now (UTC ms), or null before it has told. */
  now() {
    return this._clock === null ? null : Math.round(this._clock.server + performance.now() - this._clock.local);
  }

  /** Return when, by this machine's clock, the daemon was last heard, or null. */
  heardAt() {
    return this._clock === null ? null : Date.now() - (performance.now() - this._clock.local);
  }

  /** Return what stands in a tab, the most urgent first; of the closed the latest. */
  tab(name) {
    const cards = [...this.leads.values(), ...[...this.farewells.values()].map(({ card }) => card)];
    return cards.filter((card) => tabOf(card) === name).sort(name === "closed" ? byClosing : byUrgency);
  }

  /** Return the ids that came since the last call and can be claimed. */
  arrived() {
    const fresh = [...this._fresh].filter((id) => this.leads.get(id)?.may.includes("claim"));
    this._fresh.clear();
    return fresh;
  }

  /** Take away the farewells that have been read; return whether there are any left. */
  tidy() {
    const now = performance.now();
    for (const [id, { until }] of this.farewells) if (until <= now) this.farewells.delete(id);
    return this.farewells.size > 0;
  }

  /** Return for how many whole minutes nothing has come, if that is long enough to be said; else 0. */
  quietMinutes() {
    const quiet = this.quietSince === null ? 0 : this.now() - this.quietSince;
    return quiet >= QUIET_MS ? Math.floor(quiet / 60_000) : 0;
  }

  _begin({ leads, seller, name }) {
    const first = !this.loaded;
    const known = this.leads;
    const closed = [...known.values()].filter((card) => CLOSED.has(card.status));
    this.leads = new Map(closed.map((card) => [card.lead, card]));
    for (const raw of leads) {
      const card = readCard(raw);
      if (card === null) continue;
      this.leads.set(card.lead, card);
      if (!first && !known.has(card.lead)) this._fresh.add(card.lead);
    }
    this.seller = typeof seller === "string" ? seller : null;
    this.name = typeof name === "string" ? name : "";
    this.loaded = true;
  }

  _change({ leads, gone, taken }) {
    this.quietSince = this.now();
    for (const raw of leads) this.put(raw);
    for (const id of Array.isArray(gone) ? gone : []) {
      const by = typeof taken?.[id] === "string" ? taken[id] : null;
      const card = this.leads.get(id);
      if (card === undefined) continue;
      const had = card.mine;
      if (by !== null) this.farewell(id, had ? "movedTo" : "takenBy", { name: by });
      else this.farewell(id, had ? "tookBack" : "movedOn");
    }
  }
}

export function isClosed(card) {
  return CLOSED.has(card.status);
}

export function tabOf(card) {
  if (isClosed(card)) return "closed";
  if (!card.claimed) return "waiting";
  return card.mine ? "mine" : "team";
}

function byUrgency(a, b) {
  return (a.due_at ?? Infinity) - (b.due_at ?? Infinity) || a.number - b.number || 0;
}

function byClosing(a, b) {
  // What waits for a second pair of eyes comes first.
  return Number(b.may.includes("review")) - Number(a.may.includes("review")) || (b.closed_at ?? 0) - (a.closed_at ?? 0) || b.number - a.number;
}

/** Return a card with every field of the kind that the page takes it for, or null. */
export function readCard(raw) {
  if (typeof raw !== "object" || raw === null || typeof raw.lead !== "string" || !GRADES.has(raw.grade)) return null;
  return {
    ...raw,
    version: Number.isFinite(raw.version) ? raw.version : 0,
    number: Number.isFinite(raw.number) ? raw.number : 0,
    may: Array.isArray(raw.may) ? raw.may : [],
    reasons: Array.isArray(raw.reasons) ? raw.reasons.filter((each) => typeof each?.name === "string").map(readReason) : [],
  };
}

function readReason({ name, points, count, value, by, inferred }) {
  const intents = typeof by === "object" && by !== null ? Object.entries(by).sort(([, a], [, b]) => b - a) : [];
  return { kind: "rule", name, points: points ?? null, count: count ?? null, value: value ?? null, by: intents, inferred: inferred === true };
}

function parse(text) {
  try {
    const message = JSON.parse(text);
    return typeof message === "object" && message !== null ? message : null;
  } catch {
    return null;
  }
}
