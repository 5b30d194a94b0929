// How to read the page, and its keys.

import { closeOnBackdrop } from "./card.js";
import { el, icon, ring, setAttribute, setRing } from "./dom.js";

const KEYS = [
  [["↑", "↓"], "choose"],
  [["Enter"], "enter"],
  [["/"], "slash"],
  [["?"], "question"],
  [["Esc"], "escape"],
];

export class Help {
  constructor() {
    this.element = el("dialog", { class: "sheet help" });
    closeOnBackdrop(this.element);
  }

  open(language) {
    const close = el("button", { type: "button", class: "icon-button", "aria-label": language.say("card.close"), on: { click: () => this.element.close() } }, icon("close"));
    const sample = ring();
    setRing(sample, 0.38);
    const legend = [
      ...["hot", "warm", "cold"].map((grade) =>
        line(el("span", { class: "legend-grade", "data-grade": grade }, icon(grade), language.say(`grade.${grade}`)), language.say(`help.${grade}`)),
      ),
      line(el("span", { class: "points-value tabular" }, "92"), language.say("help.points")),
      line(sample, language.say("help.ring")),
      line(el("span", { class: "cause-number tabular", "data-sign": "up" }, "+0.7"), language.say("help.cause")),
    ];
    const keys = KEYS.map(([caps, what]) => line(el("span", { class: "keys" }, ...caps.map((cap) => el("kbd", {}, cap))), language.say(`help.${what}`)));
    setAttribute(this.element, "aria-label", language.say("help.title"));
    this.element.replaceChildren(
      el("div", { class: "sheet-head" }, el("h2", { class: "card-title" }, language.say("help.title")), close),
      el(
        "div",
        { class: "sheet-body" },
        el("dl", { class: "legend" }, ...legend),
        el("p", { class: "card-note" }, language.say("help.hold")),
        el("h3", {}, language.say("help.keysHeading")),
        el("dl", { class: "legend" }, ...keys),
      ),
    );
    if (!this.element.open) this.element.showModal();
  }
}

function line(term, text) {
  return el("div", {}, el("dt", {}, term), el("dd", {}, text));
}
