// The inbox: one card for each lead, the most urgent first, with one big button where it can be claimed.

import { el, icon, setAttribute, setText, show } from "../host/dom.js";
import { clean } from "../host/names.js";
import { age, chips } from "../host/words.js";
import { CountdownRing, countdown } from "./countdown.js";

const REASONS = 2;
const AGE_MS = 10_000; // as fine as an age is told
// Cards move up when one above them goes. Nobody claims what slid under the thumb.
const SETTLE_MS = 350;

export class Cards {
  /** `onClaim(card)`; the rest is links. */
  constructor({ onClaim }) {
    this._views = new Map();
    this._movedAt = -Infinity;
    this._order = "";
    this._pressed = false;
    this._onClaim = (card) => {
      if (performance.now() - this._movedAt > SETTLE_MS) onClaim(card);
    };
    this.element = el("ol", { class: "cards", role: "list" });
    this.element.addEventListener("pointerdown", () => (this._pressed = true));
    for (const type of ["pointerup", "pointercancel"]) window.addEventListener(type, () => (this._pressed = false));
  }

  /** `context` is {inbox, queue, language, open, tab}. */
  render(cards, context) {
    const order = cards.map((card) => card.lead);
    const key = order.join(" ");
    if (key !== this._order && !this._pressed) this._place(order, key);
    const known = new Map(cards.map((card) => [card.lead, card]));
    for (const [id, view] of this._views) {
      const card = known.get(id);
      if (card !== undefined) view.render(card, context);
    }
  }

  _place(order, key) {
    const before = this._order === "" ? [] : this._order.split(" ");
    // What is added at the end moves nothing.
    if (before.length > 0 && !key.startsWith(this._order)) this._movedAt = performance.now();
    const staying = new Set(order);
    const focused = document.activeElement;
    for (const [id, view] of this._views) {
      if (staying.has(id)) continue;
      view.element.remove();
      this._views.delete(id);
    }
    let previous = null;
    for (const id of order) {
      let view = this._views.get(id);
      if (view === undefined) {
        view = new CardView(this._onClaim, before.length > 0);
        this._views.set(id, view);
      }
      const place = previous === null ? this.element.firstElementChild : previous.nextElementSibling;
      if (place !== view.element) this.element.insertBefore(view.element, place);
      previous = view.element;
    }
    if (focused !== document.activeElement && this.element.contains(focused)) focused.focus();
    this._order = key;
  }
}

class CardView {
  constructor(onClaim, isNew) {
    this._card = null;
    this._key = null;
    this._unseen = false; // as the browser says: out of sight nothing need count down
    this.ring = new CountdownRing();
    this.grade = el("span", { class: "lead-grade" });
    this.quality = el("span", { class: "lead-quality tabular" });
    this.name = el("bdi", { class: "lead-name" });
    this.age = el("span", { class: "lead-age tabular" });
    this.product = el("p", { class: "lead-product" });
    this.reasons = el("p", { class: "lead-reasons" });
    this.words = el("p", { class: "lead-words" });
    this.where = el("p", { class: "lead-where" });
    this.state = el("p", { class: "lead-state" });
    this.waiting = el("p", { class: "lead-waiting", hidden: true });
    this.link = el(
      "a",
      { class: "lead-link" },
      this.ring.element,
      el(
        "span",
        { class: "lead-main" },
        el("span", { class: "lead-top" }, this.grade, this.name, this.quality, this.age),
        this.product,
        this.reasons,
        this.words,
        this.where,
        this.state,
        this.waiting,
      ),
    );
    this.claim = el("button", { type: "button", class: "big-button", on: { click: () => onClaim(this._card) } });
    this.farewell = el("p", { class: "farewell", role: "status", hidden: true });
    this.element = el("li", { class: "lead-card", "data-new": isNew }, this.link, this.claim, this.farewell);
    this.element.addEventListener("contentvisibilityautostatechange", ({ skipped }) => (this._unseen = skipped));
  }

  /** Draw what has changed: each second the ring, if it is in sight, and all the rest when there is something new to say. */
  render(card, context) {
    const { inbox, queue, language, open } = context;
    const now = inbox.now();
    const waits = queue.items(card.lead).length;
    const key = [language.code, card.version, inbox.farewells.has(card.lead), open === card.lead, waits, waits > 0 ? now : Math.floor(now / AGE_MS)].join(" ");
    if (key !== this._key || card !== this._card) this._renderAll(card, context);
    else if (!this._unseen) this.ring.render(language, card, now);
    this._key = key;
  }

  _renderAll(card, { inbox, queue, language, open }) {
    this._card = card;
    const now = inbox.now();
    const gone = inbox.farewells.get(card.lead);
    show(this.farewell, gone !== undefined);
    show(this.link, gone === undefined);
    const name = leadName(language, card);
    if (gone !== undefined) {
      setText(this.farewell, language.say(`sales.farewell.${gone.key}`, { lead: name, ...gone.values }));
      show(this.claim, false);
      setAttribute(this.element, "data-gone", true);
      return;
    }
    setAttribute(this.element, "data-gone", null);
    setAttribute(this.element, "data-grade", card.grade);
    setAttribute(this.link, "href", `#${encodeURIComponent(card.lead)}`);
    setAttribute(this.link, "aria-current", open === card.lead ? "true" : null);
    this.ring.render(language, card, now);
    renderGrade(this.grade, language, card.grade);
    setText(this.name, name);
    setText(this.quality, qualityName(card));
    setAttribute(this.quality, "title", language.say("sales.quality", { level: qualityName(card) }));
    setText(this.age, now === null ? "" : age(language, now - card.hot_at));
    setText(this.product, clean(card.product ?? ""));
    setText(this.reasons, chips(language, card.reasons).slice(0, REASONS).join(" · "));
    const words = clean(card.words ?? "");
    setText(this.words, words === "" ? "" : language.say("list.quote", { text: words }));
    setText(this.where, whereWords(card));
    setText(this.state, stateWords(language, card, now));
    const waits = queue.waiting(card.lead);
    show(this.waiting, waits.length > 0);
    setText(this.waiting, waits.length > 0 ? language.say("sales.queue.ofLead", { acts: language.list(waits.map((item) => actName(language, item))) }) : "");
    const claiming = queue.items(card.lead).some((item) => item.act === "claim");
    show(this.claim, card.may.includes("claim"));
    setAttribute(this.claim, "aria-disabled", claiming ? "true" : null);
    setText(this.claim, language.say(claiming ? "sales.claiming" : "sales.claim"));
    setAttribute(this.claim, "aria-label", language.say("sales.claimWho", { lead: name }));
  }
}

export function renderGrade(element, language, grade) {
  const key = `${grade} ${language.code}`;
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  setAttribute(element, "data-grade", grade);
  element.replaceChildren(icon(grade), el("span", {}, language.say(`grade.${grade}`)));
}

export function leadName(language, card) {
  return clean(card.name ?? "") || clean(card.contact ?? "") || language.say("sales.unnamed", { n: card.number });
}

export function qualityName(card) {
  return /^Q[0-5]$/.test(card.quality) ? card.quality : "";
}

export function actName(language, item) {
  return language.find(`sales.act.${item.act}`) === null ? clean(item.act) : language.say(`sales.act.${item.act}`);
}

function whereWords(card) {
  return [placeName(card), clean(card.room_title || card.room || "")].filter((part) => part !== "").join(" · ");
}

export function placeName({ province, city }) {
  return clean(province === city ? (city ?? "") : `${province ?? ""}${city ?? ""}`);
}

/** Return what a status is called; one of a later daemon is shown as it is. */
export function statusName(language, status) {
  return typeof language.find(`sales.status.${status}`) === "string" ? language.say(`sales.status.${status}`) : clean(status ?? "");
}

/** Return what there is to know of where a lead stands, in a few words. */
export function stateWords(language, card, now) {
  const say = (key, values) => language.say(`sales.state.${key}`, values);
  if (card.review === "pending") return say(card.may.includes("review") ? "reviewMine" : "review", { end: statusName(language, card.status) });
  if (card.closed_at !== null) return say("closed", { end: statusName(language, card.status), time: dayAndTime(language, card.closed_at) });
  if (card.awaits_approval) return say("approval");
  const due = countdown(card, now);
  const parts = [];
  if (!card.mine && card.holder_name !== null) parts.push(say(card.claimed ? "with" : "offered", { name: card.holder_name }));
  else if (!card.claimed && card.mine) parts.push(say("yours"));
  else if (!card.claimed) parts.push(say(card.status === "pooled" ? "public" : card.pool === null ? "team" : "pool"));
  if (card.follow_up_at !== null && due?.kind === "follow_up") parts.push(say(due.left <= 0 ? "followUpLate" : "followUp", { time: dayAndTime(language, card.follow_up_at) }));
  return parts.join(" · ");
}

/** Return a moment as people say it: the time alone of today, else month and day before it. */
export function dayAndTime(language, at) {
  const day = new Date(at).toDateString() === new Date().toDateString() ? {} : { month: "numeric", day: "numeric" };
  return new Intl.DateTimeFormat(language.code, { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
}
