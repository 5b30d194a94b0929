// One viewer up close: what was said and seen, where the points come from, and the parts of the probability.

import { el, icon, ring, setAttribute, setText, show } from "./dom.js";
import { Exact } from "./exact.js";
import { isKnown, renderChance } from "./list.js";
import { clean, leadName, shownName } from "./names.js";
import { age, between, OTHERS, parts, partName, ruleTexts, signed, START } from "./words.js";

const CAP = 100; // of the points

export class Card {
  /** `onClose(viewer)` is called with whose card it was; `ask` is :class:`Exact`'s. */
  constructor({ onClose, ask }) {
    this._viewer = null;
    this._last = null; // the row as last known, for a viewer who left the list while the card is open
    this._key = null;
    this.close = el("button", { type: "button", class: "icon-button", on: { click: () => this.element.close() } }, icon("close"));
    this.grade = el("span", { class: "card-grade" });
    this.name = el("bdi", { class: "card-name" });
    this.fan = el("span", { class: "fan" });
    this.points = el("span", { class: "points-value tabular" });
    this.unit = el("span", { class: "points-unit" });
    this.ring = ring();
    this.percent = el("span", { class: "percent tabular" });
    this.interval = el("span", { class: "interval tabular" });
    this.unknown = el("span", { class: "unknown" });
    this.chance = el("span", { class: "chance" }, this.ring, this.percent, this.interval, this.unknown);
    this.gone = el("p", { class: "card-gone", hidden: true });
    this.words = el("figure", { class: "card-words" }, el("blockquote", {}, el("bdi", {})), el("figcaption", {}));
    this.facts = el("dl", { class: "facts" });
    this.pointsColumn = el("section", { class: "card-column" });
    this.partsList = el("div", {});
    this.partsHeading = el("h3", {});
    this.exact = new Exact(ask);
    this.partsColumn = el("section", { class: "card-column" }, this.partsHeading, this.partsList, this.exact.element);
    this.element = el(
      "dialog",
      { class: "sheet card" },
      el(
        "div",
        { class: "sheet-head" },
        el("h2", { class: "card-title" }, this.name, this.fan),
        this.close,
        el("div", { class: "card-sum" }, this.grade, el("span", { class: "points" }, this.points, this.unit), this.chance),
      ),
      el("div", { class: "sheet-body" }, this.gone, this.words, this.facts, el("div", { class: "card-columns" }, this.pointsColumn, this.partsColumn)),
    );
    closeOnBackdrop(this.element);
    this.element.addEventListener("close", () => {
      const viewer = this._viewer;
      this._viewer = null;
      this.exact.reset(null);
      onClose(viewer);
    });
  }

  open(viewer) {
    this._viewer = viewer;
    this._last = null;
    this._key = null;
    this.exact.reset(viewer);
  }

  /** Close the card and leave nothing of its viewer in the page. */
  forget() {
    this._viewer = null;
    this._last = null;
    if (this.element.open) this.element.close();
    for (const part of [this.facts, this.pointsColumn, this.partsList, this.exact.body]) part.replaceChildren();
    for (const part of [this.name, this.words.querySelector("bdi")]) setText(part, "");
    setAttribute(this.element, "aria-label", null);
    this._factsKey = null;
    this._key = null;
  }

  /** `context` is {room, language, options}. */
  render(context) {
    if (this._viewer === null) return;
    const row = context.room.rows.get(this._viewer) ?? null;
    this._last = row ?? this._last;
    if (this._last === null) return;
    this._renderHead(this._last, context);
    show(this.gone, row === null);
    setText(this.gone, context.language.say("card.gone"));
    this._renderFacts(this._last, context);
    this._renderColumns(this._last, context);
    if (!this.element.open) this.element.showModal();
  }

  _renderHead(row, { room, language, options }) {
    const name = shownName(row.name, options.mask) || language.say("list.unnamed");
    setAttribute(this.element, "aria-label", language.say("card.label", { name }));
    setAttribute(this.close, "aria-label", language.say("card.close"));
    if (this.element.getAttribute("data-grade") !== row.grade || this._language !== language.code) {
      setAttribute(this.element, "data-grade", row.grade);
      this._language = language.code;
      this.grade.replaceChildren(icon(row.grade), el("span", {}, language.say(`grade.${row.grade}`)));
    }
    setText(this.name, name);
    show(this.fan, row.fan);
    setText(this.fan, language.say("list.fan"));
    setText(this.points, language.number(row.points));
    setText(this.unit, language.say("list.points"));
    show(this.chance, room.model.enabled);
    renderChance(this, row, room, language);
  }

  _renderFacts(row, { room, language }) {
    const quote = row.words === null ? "" : clean(row.words);
    show(this.words, quote !== "");
    setText(this.words.querySelector("bdi"), quote);
    setText(this.words.querySelector("figcaption"), language.say("card.words"));
    const facts = [[language.say("card.lastSeen"), lastSeen(language, room.now(), row.last_at)]];
    if (row.hot_at !== null) facts.push([language.say("card.hotSince"), language.timeOfDay(row.hot_at)]);
    facts.push([language.say("card.lead"), row.lead === null ? language.say("card.noLead") : leadName(row.lead)]);
    const key = JSON.stringify(facts);
    if (key === this._factsKey) return;
    this._factsKey = key;
    this.facts.replaceChildren(...facts.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", { class: "tabular" }, text))));
  }

  _renderColumns(row, { room, language }) {
    show(this.exact.element, isKnown(row, room));
    this.exact.render(language);
    const key = JSON.stringify([language.code, row.points, row.reasons, row.interval, room.model]);
    if (key === this._key) return;
    this._key = key;
    this.pointsColumn.replaceChildren(el("h3", {}, language.say("card.pointsHeading")), ...pointsRows(language, row));
    setText(this.partsHeading, language.say("card.partsHeading"));
    this.partsList.replaceChildren(...partsRows(language, row, room));
  }
}

function lastSeen(language, now, at) {
  return now === null ? language.timeOfDay(at) : `${age(language, now - at)} · ${language.timeOfDay(at)}`;
}

function pointsRows(language, row) {
  const rules = row.reasons.filter((reason) => reason.kind === "rule").sort((a, b) => (b.points ?? 0) - (a.points ?? 0));
  if (rules.length === 0) return [el("p", { class: "card-note" }, language.say("card.noPoints"))];
  const sum = rules.reduce((total, rule) => total + (rule.points ?? 0), 0);
  const lines = rules.map((rule) =>
    el("li", { class: "part" }, el("span", { class: "part-name" }, ruleTexts(language, rule).join(" · ")), el("span", { class: "part-number tabular" }, worth(language, rule.points))),
  );
  const total = el("p", { class: "part part-total" }, el("span", {}, language.say("card.total")), el("span", { class: "part-number tabular" }, language.number(row.points)));
  const capped = sum > CAP && row.points === CAP ? el("p", { class: "card-note" }, language.say("card.capped", { n: sum, cap: CAP })) : null;
  return [el("ol", { class: "parts", role: "list" }, ...lines), total, capped].filter((node) => node !== null);
}

function worth(language, points) {
  if (points === null) return "";
  return points < 0 ? signed(language, points, 0) : language.say("card.worth", { n: points });
}

function partsRows(language, row, room) {
  const { model } = room;
  const note = (text) => [el("p", { class: "card-note" }, text)];
  if (!model.enabled) return note(language.say("model.offCard"));
  const { labels: n, positives, final, finalPositives } = model;
  if (!model.ready) return note(language.say("model.learningCard", { n, positives, final, finalPositives }));
  if (!isKnown(row, room)) return note(language.say("card.noParts"));
  const all = parts(row.reasons);
  const own = all.filter((part) => part.name !== START && part.name !== OTHERS);
  if (own.length === 0) return note(language.say("card.noParts"));
  const largest = Math.max(Math.abs(own[0].logit), 1e-9);
  // The others are many, and the start is larger than any part: bars for them would make the rest too short to compare.
  const last = [OTHERS, START].flatMap((name) => all.filter((part) => part.name === name));
  const lines = [...own, ...last].map((part) =>
    partLine(language, partName(language, part.name), part.logit, last.includes(part) ? null : partBar(part.logit, largest)),
  );
  const sure = row.interval === null ? language.say("card.noInterval") : language.say("card.interval", { between: between(row.interval) });
  return [...note(sure), el("ol", { class: "parts", role: "list" }, ...lines), ...note(language.say("card.partsNote"))];
}

function partLine(language, text, logit, bar) {
  return el("li", { class: bar === null ? "part" : "part part-of-logit" }, el("span", { class: "part-name" }, text), bar, el("span", { class: "part-number tabular" }, signed(language, logit, 2)));
}

function partBar(logit, largest) {
  const bar = el("span", { class: "part-bar", "data-sign": logit < 0 ? "down" : "up", "aria-hidden": "true" });
  bar.style.setProperty("--share", (Math.abs(logit) / largest).toFixed(3));
  return bar;
}

/** Close a modal dialog by a click outside it, as people expect. */
export function closeOnBackdrop(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target !== dialog) return;
    const box = dialog.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX < box.right && event.clientY >= box.top && event.clientY < box.bottom;
    if (!inside) dialog.close();
  });
}
