// What the page knows of its room: the state and the rows the server sent, checked, and the server's time.
// It draws nothing.

import { GRADES } from "./options.js";

const RANK = new Map(GRADES.map((grade, index) => [grade, index]));
const FEED_STATES = new Set(["connecting", "connected", "waiting", "refused", "ended"]);
export const QUIET_MS = 3 * 60_000;

export class Room {
  constructor() {
    this.state = null;
    this.rows = new Map(); // viewer id → row; a Map, since an id may be "__proto__"
    this.seq = null; // of the last message taken
    this.loaded = false; // a snapshot has come
    this.unreadable = 0; // messages that made no sense: page and daemon are of different versions
    this._clock = null; // {server: ms UTC, local: performance.now()} of the last state
  }

  /** Take one message; returns the number to resume from. Never throws: what cannot be read is counted. */
  take(text) {
    const message = parse(text);
    if (message === null || !this._apply(message)) this.unreadable += 1;
    return this.seq;
  }

  /** Return the server's time now, ms UTC; null before it has told. The viewer's own clock may be wrong. */
  now() {
    return this._clock === null ? null : this._clock.server + (performance.now() - this._clock.local);
  }

  /** Return the rows of `minGrade` and above, best first. */
  ranked(minGrade) {
    const lowest = RANK.get(minGrade);
    const shown = [...this.rows.values()].filter((row) => RANK.get(row.grade) <= lowest && !row.staff);
    return shown.sort(byRank(this.modelReady));
  }

  /** Return how many of a grade there are: the server's count, which knows of rows that were not sent. */
  count(grade) {
    let here = 0;
    for (const row of this.rows.values()) if (row.grade === grade && !row.staff) here += 1;
    return Math.max(here, this.state?.[grade] ?? 0);
  }

  get modelReady() {
    return this.model.enabled && this.model.ready;
  }

  /** Return what is known of the model; before the daemon has told, it is off. */
  get model() {
    return this.state?.model ?? { enabled: false, ready: false, labels: 0, positives: 0, final: 0, finalPositives: 0 };
  }

  /** Drop everything: whoever may not see the room any more must not find it in the page either. */
  forget() {
    this.state = null;
    this.rows = new Map();
    this.seq = null;
    this.loaded = false;
    this._clock = null;
  }

  /** Return what the room is doing: "before" a session, "live", or "ended". */
  get stage() {
    if (this.state === null || this.state.ended) return this.state === null ? "before" : "ended";
    return this.state.session === null ? "before" : "live";
  }

  /** Return for how many whole minutes nothing has happened, if that is long enough to be said; else 0. */
  quietMinutes() {
    if (this.stage !== "live" || this.state.last_event_at === null) return 0;
    const quiet = this.now() - this.state.last_event_at;
    return quiet >= QUIET_MS ? Math.floor(quiet / 60_000) : 0;
  }

  _apply(message) {
    if (!Number.isSafeInteger(message.seq)) return false;
    // A snapshot always counts, also with a lower number: the daemon may have been started anew.
    if (message.type !== "snapshot" && this.seq !== null && message.seq <= this.seq) return true;
    switch (message.type) {
      case "snapshot":
        if (!Array.isArray(message.viewers)) return false;
        this.rows = new Map();
        this._put(message.viewers);
        this._see(message.state);
        this.loaded = true;
        break;
      case "delta":
        if (!Array.isArray(message.viewers)) return false;
        this._put(message.viewers);
        for (const viewer of Array.isArray(message.gone) ? message.gone : []) this.rows.delete(viewer);
        if (message.state !== undefined) this._see(message.state);
        break;
      case "state":
        this._see(message.state);
        break;
      default:
        return false; // its number is not taken: a later version's message must not make us skip a delta
    }
    this.seq = message.seq;
    return true;
  }

  _put(rows) {
    for (const raw of rows) {
      const row = readRow(raw);
      if (row === null) this.unreadable += 1;
      else this.rows.set(row.viewer, row);
    }
  }

  _see(raw) {
    const state = readState(raw);
    if (state === null) {
      this.unreadable += 1;
      return;
    }
    this.state = state;
    this._clock = { server: state.now, local: performance.now() };
  }
}

/** Return the order of two rows: grade, then probability once the model is ready, points, recency, viewer. */
export function byRank(modelReady) {
  return (a, b) =>
    RANK.get(a.grade) - RANK.get(b.grade) ||
    (modelReady ? (b.probability ?? -1) - (a.probability ?? -1) : 0) ||
    b.points - a.points ||
    b.last_at - a.last_at ||
    (a.viewer < b.viewer ? -1 : a.viewer > b.viewer ? 1 : 0);
}

export function readRow(raw) {
  if (!isObject(raw) || typeof raw.viewer !== "string" || !RANK.has(raw.grade)) return null;
  return {
    viewer: raw.viewer,
    name: typeof raw.name === "string" ? raw.name : "",
    grade: raw.grade,
    points: number(raw.points) ?? 0,
    probability: share(raw.probability),
    interval: readInterval(raw.interval),
    reasons: Array.isArray(raw.reasons) ? raw.reasons.map(readReason).filter((reason) => reason !== null) : [],
    last_at: number(raw.last_at) ?? 0,
    hot_at: number(raw.hot_at),
    lead: typeof raw.lead === "string" ? raw.lead : null,
    fan: raw.fan === true,
    staff: raw.staff === true,
    words: typeof raw.words === "string" && raw.words !== "" ? raw.words : null,
  };
}

function readInterval(raw) {
  const bounds = Array.isArray(raw) && raw.length === 2 ? raw.map(share) : [null];
  return bounds.includes(null) ? null : bounds;
}

function readReason(raw) {
  if (!isObject(raw) || typeof raw.name !== "string") return null;
  const by = isObject(raw.by) ? Object.entries(raw.by).filter(([, count]) => number(count) !== null && count > 0) : [];
  return {
    kind: raw.kind === "feature" ? "feature" : "rule",
    name: raw.name,
    points: number(raw.points),
    logit: number(raw.logit),
    count: number(raw.count),
    value: number(raw.value),
    by: by.sort(([, a], [, b]) => b - a), // stable: equal counts keep the server's order
    inferred: raw.inferred === true,
  };
}

function readState(raw) {
  if (!isObject(raw) || number(raw.now) === null) return null;
  const room = isObject(raw.room) ? raw.room : {};
  const model = isObject(raw.model) ? raw.model : {};
  return {
    now: raw.now,
    room: { id: text(room.id), platform: text(room.platform), title: text(room.title) },
    session: typeof raw.session === "string" ? raw.session : null,
    started_at: number(raw.started_at),
    ended: raw.ended === true,
    feeds: Array.isArray(raw.feeds) ? raw.feeds.filter(isFeed).map(readFeed) : [],
    last_event_at: number(raw.last_event_at),
    viewers_online: number(raw.viewers_online),
    events_per_minute: number(raw.events_per_minute),
    viewers: number(raw.viewers) ?? 0,
    hot: number(raw.hot) ?? 0,
    warm: number(raw.warm) ?? 0,
    product: text(raw.product) || null,
    model: {
      enabled: model.enabled === true,
      ready: model.ready === true,
      labels: number(model.labels) ?? 0,
      positives: number(model.positives) ?? 0,
      final: number(model.final) ?? 0,
      finalPositives: number(model.final_positives) ?? 0,
    },
    dropped: number(raw.dropped) ?? 0,
  };
}

function readFeed(raw) {
  return {
    id: text(raw.id),
    connector: text(raw.connector),
    state: raw.state,
    detail: text(raw.detail),
    retry_in_s: number(raw.retry_in_s),
    since: number(raw.since),
  };
}

function isFeed(raw) {
  return isObject(raw) && FEED_STATES.has(raw.state);
}

function parse(source) {
  try {
    const message = JSON.parse(source);
    return isObject(message) ? message : null;
  } catch {
    return null;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function share(value) {
  const known = number(value);
  return known === null || known < 0 || known > 1 ? null : known;
}

function text(value) {
  return typeof value === "string" ? value : "";
}
