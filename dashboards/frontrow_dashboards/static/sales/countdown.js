// How much is left of the time in which a customer was promised an answer. Pure.

import { el, ring, setAttribute, setRing, setText } from "../host/dom.js";

/** Return {kind, left, share}: ms left (negative: late) and which share of its time (0 to 1) that is; null: nothing is due.
 * `kind` is "answer" (the first answer to a customer) or "follow_up" (what they were promised since). */
export function countdown(card, now) {
  if (card.due_at === null || card.due_at === undefined || now === null) return null;
  const left = card.due_at - now;
  if (card.responded_at !== null) return { kind: "follow_up", left, share: 1 };
  const began = begin(card);
  return { kind: "answer", left, share: Math.min(1, Math.max(0, left / Math.max(1, card.due_at - began))) };
}

// The clock runs from when the lead turned hot, or was given to its present seller; when that time is over and the lead was claimed in
// it, from the claim.
function begin(card) {
  const late = card.breached_at !== null && card.claimed_at !== null && card.breached_at >= (card.assigned_at ?? card.hot_at);
  const starts = [card.hot_at, card.assigned_at, late ? card.claimed_at : null].filter((at) => at !== null && at < card.due_at);
  return Math.max(...starts, card.due_at - 86_400_000);
}

/** Return 4:07, or 1:02:09 from an hour on. */
export function minutes(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1_000);
  const pad = (value) => String(value).padStart(2, "0");
  const [hours, rest] = [Math.floor(seconds / 3_600), seconds % 3_600];
  const short = `${hours > 0 ? pad(Math.floor(rest / 60)) : Math.floor(rest / 60)}:${pad(rest % 60)}`;
  return hours > 0 ? `${hours}:${short}` : short;
}

/** "calm" until three fifths are over, when the first reminder comes; "soon"; "late". */
export function urgency(due) {
  if (due === null) return "none";
  if (due.left <= 0) return "late";
  return due.share <= 0.4 ? "soon" : "calm";
}

/** A ring that empties, with the time in it. */
export class CountdownRing {
  constructor() {
    this._ring = ring();
    this._text = el("span", { class: "count-text tabular", "aria-hidden": "true" });
    this._read = el("span", { class: "only-read" });
    this.element = el("span", { class: "count" }, this._ring, this._text, this._read);
  }

  render(language, card, now) {
    const due = countdown(card, now);
    const shown = due !== null && (due.kind === "answer" || due.left < 3_600_000);
    setAttribute(this.element, "data-urgency", shown ? urgency(due) : "none");
    if (!shown) {
      setText(this._text, "");
      setText(this._read, "");
      setRing(this._ring, 0);
      return;
    }
    setRing(this._ring, due.left <= 0 ? 1 : due.share);
    setText(this._text, due.left <= 0 ? `+${minutes(due.left)}` : minutes(due.left));
    // Read out in whole minutes: a screen reader must not say every second.
    const n = Math.max(1, Math.ceil(Math.abs(due.left) / 60_000));
    setText(this._read, language.say(due.left <= 0 ? "sales.lateRead" : "sales.leftRead", { n }));
  }
}
