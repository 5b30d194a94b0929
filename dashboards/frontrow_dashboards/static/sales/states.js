// Which of its designed states the page is in, from what it knows, and how that is shown. Pure but for drawing.

import { el, icon, setAttribute, setText, show } from "../host/dom.js";

const LOST_AFTER_MS = 1_500; // a reconnect that takes less is not worth a glance
const REASONS = ["no_seller", "unknown_seller", "no_leads"]; // of a refusal, as the daemon names them

/** Return {full, banner}: what stands in place of the list and above it, null where nothing does. */
export function situation({ inbox, link, token, shown, tab, waiting, now }) {
  if (link.phase === "forbidden") return { full: forbidden(link, token), banner: null };
  if (!inbox.loaded) return { full: link.failures > 1 ? "broken" : "loading", banner: null };
  const lost = link.phase !== "live" && (link.failures > 1 || now - link.lostAt > LOST_AFTER_MS);
  const banner = lost ? "lost" : inbox.behind ? "behind" : waiting > 0 ? "queued" : null;
  if (shown > 0) return { full: null, banner };
  return { full: tab === "waiting" ? (inbox.quietMinutes() > 0 ? "quiet" : "empty") : `empty_${tab}`, banner };
}

function forbidden(link, token) {
  if (token === "") return "no_token";
  return REASONS.includes(link.reason) ? link.reason : "forbidden";
}

const PICTURES = { loading: "viewer", broken: "broken", empty: "check", quiet: "quiet", empty_mine: "viewer", empty_team: "viewer", empty_closed: "check" };

export class Full {
  constructor({ onRetry, onSignOut }) {
    this.picture = el("div", { class: "full-icon" });
    this.heading = el("h2", { class: "full-title" });
    this.text = el("p", { class: "full-text" });
    this.retry = el("button", { type: "button", class: "button", hidden: true, on: { click: onRetry } });
    this.forget = el("button", { type: "button", class: "quiet-button", hidden: true, on: { click: onSignOut } });
    this.element = el("section", { class: "full", hidden: true }, el("div", { class: "full-words", role: "status" }, this.picture, this.heading, this.text), this.retry, this.forget);
    this._kind = null;
  }

  render(kind, { language, inbox, mine }) {
    show(this.element, kind !== null);
    if (kind === null) {
      this._kind = null;
      return;
    }
    if (kind !== this._kind) this.picture.replaceChildren(icon(PICTURES[kind] ?? "locked"));
    this._kind = kind;
    const shut = PICTURES[kind] === undefined;
    setAttribute(this.element, "data-kind", kind === "loading" ? "asking" : shut ? "forbidden" : kind);
    setText(this.heading, language.say(`sales.full.${kind}Title`, { n: inbox.quietMinutes() }));
    setText(this.text, language.say(`sales.full.${kind}Text`, { n: mine }));
    show(this.retry, shut || kind === "broken");
    setText(this.retry, language.say("full.again"));
    show(this.forget, shut && kind !== "no_token");
    setText(this.forget, language.say("sales.signOut"));
  }
}

export class Banner {
  constructor({ onRetry }) {
    this.title = el("strong", { class: "banner-title" });
    this.text = el("span", { class: "banner-text" });
    this.retry = el("button", { type: "button", class: "button", on: { click: onRetry } });
    this.element = el(
      "div",
      { class: "banner", role: "status", hidden: true },
      el("span", { class: "banner-icon" }, icon("warning")),
      el("p", { class: "banner-words" }, this.title, this.text),
      this.retry,
    );
  }

  render(kind, { language, waiting, durable, inbox }) {
    show(this.element, kind !== null);
    if (kind === null) return;
    setAttribute(this.element, "data-tone", kind === "queued" ? "warm" : "bad");
    setText(this.title, language.say(`sales.banner.${kind}Title`, { n: waiting }));
    const queued = waiting === 0 ? "" : language.say(durable ? "sales.banner.queued" : "sales.banner.notKept", { n: waiting });
    const text = kind === "queued" ? queued : `${language.say(`sales.banner.${kind}Text`, { time: language.timeOfDay(inbox.heardAt() ?? Date.now()) })}${queued}`;
    setText(this.text, text);
    show(this.retry, kind !== "behind");
    setText(this.retry, language.say("banner.retry"));
  }
}
