// A sheet from below with one question and a few large answers: what the thumb reaches.

import { el, icon } from "../host/dom.js";
import { closeOnBackdrop } from "../host/card.js";

/**
 * Ask. `choices` are {value, text, note?, tone?}; `field` {label, ...attributes} is an input above them.
 * Return {value, entered}, or null where nobody chose.
 */
export function choose({ title, note = "", choices, closeText, field = null }) {
  return new Promise((resolve) => {
    let chosen = null;
    const { label = "", ...attributes } = field ?? {};
    const input = el("input", { class: "sheet-input", id: "sheet-input", ...attributes });
    const take = (value) => {
      if (!input.reportValidity()) return;
      chosen = { value, entered: input.value };
      dialog.close();
    };
    const buttons = choices.map(({ value, text, note: more = "", tone = null }) =>
      el(
        "button",
        { type: "button", class: "choice", "data-tone": tone, on: { click: () => take(value) } },
        el("span", { class: "choice-text" }, text),
        more === "" ? null : el("span", { class: "choice-note" }, more),
      ),
    );
    const dialog = el(
      "dialog",
      { class: "sheet choose", "aria-label": title },
      el(
        "div",
        { class: "sheet-head" },
        el("h2", { class: "card-title" }, title),
        el("button", { type: "button", class: "icon-button", "aria-label": closeText, on: { click: () => dialog.close() } }, icon("close")),
      ),
      el("div", { class: "sheet-body" }, note === "" ? null : el("p", { class: "card-note" }, note), field === null ? null : el("label", { class: "field", for: "sheet-input" }, label, input), el("div", { class: "choices" }, ...buttons)),
    );
    closeOnBackdrop(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(chosen);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
