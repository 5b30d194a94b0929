// The exact parts of one viewer's probability: asked of the daemon when somebody opens the drawer, and not before.

import { el, setText } from "./dom.js";
import { percent, signed } from "./words.js";

const ANSWER_WITHIN_MS = 10_000;

export class Exact {
  /** `ask(viewer, signal)` returns what the daemon answers (a Response). */
  constructor(ask) {
    this._ask = ask;
    this._viewer = null;
    this._asking = null; // an AbortController
    this._told = null; // {viewer, answer} or {viewer, failed}: the last answer
    this.summary = el("summary", {});
    this.body = el("div", { class: "exact-body", "aria-live": "polite" });
    this.element = el("details", { class: "exact", on: { toggle: () => this._toggled() } }, this.summary, this.body);
  }

  /** Fold it up and forget what it said: another viewer, or nobody. */
  reset(viewer) {
    this._asking?.abort();
    this._asking = this._told = this._key = null;
    this._viewer = viewer;
    this.element.open = false;
    this.body.replaceChildren();
  }

  render(language) {
    this._language = language;
    setText(this.summary, language.say("exact.open"));
    if (!this.element.open) return;
    const key = `${language.code} ${this._told === null}`;
    if (key === this._key) return;
    this._key = key;
    this.body.replaceChildren(...this._nodes(language));
  }

  async _toggled() {
    if (!this.element.open || this._viewer === null) return;
    this._asking?.abort();
    const asking = (this._asking = new AbortController());
    const patience = setTimeout(() => asking.abort(), ANSWER_WITHIN_MS); // the browser inside OBS is years old
    this._told = this._key = null;
    this.render(this._language);
    const told = await answerOf(this._ask(this._viewer, asking.signal));
    clearTimeout(patience);
    if (asking !== this._asking) return; // folded up, or opened again, meanwhile
    this._told = told;
    this._key = null;
    this.render(this._language);
  }

  _nodes(language) {
    const note = (key, values) => [el("p", { class: "card-note" }, language.say(key, values))];
    if (this._told === null) return note("exact.loading");
    const { answer, status } = this._told;
    if (answer === null) return note(status === 404 ? "exact.gone" : "exact.failed");
    if (!isExplained(answer)) return note("exact.notEnough");
    return explained(language, answer);
  }
}

async function answerOf(asked) {
  try {
    const response = await asked;
    return { answer: response.ok ? await response.json() : null, status: response.status };
  } catch {
    return { answer: null, status: 0 };
  }
}

function isExplained(answer) {
  const found = answer?.explanation;
  return answer?.state === "ready" && typeof answer.probability === "number" && Array.isArray(found?.parts) && typeof found.raw_logit === "number";
}

function explained(language, { probability, explanation, model, at }) {
  const parts = explanation.parts.filter((part) => part.logit !== 0);
  const lines = parts.map((part) => line(language, part.words?.[language.code] ?? part.name, part.logit));
  const none = explanation.parts.length - parts.length;
  return [
    el("ol", { class: "parts", role: "list" }, ...lines, line(language, explanation.words?.[language.code] ?? "", explanation.intercept)),
    none > 0 ? el("p", { class: "card-note" }, language.say("exact.none", { n: none })) : null,
    total(language.say("exact.raw"), exactly(language, explanation.raw_logit), explanation.raw_logit),
    total(
      language.say("exact.calibrated", {
        slope: plain(language, explanation.slope),
        bend: exactly(language, explanation.bend),
        bias: exactly(language, explanation.bias),
      }),
      exactly(language, explanation.logit),
      explanation.logit,
    ),
    total(language.say("exact.probability"), percent(probability), probability),
    el("p", { class: "card-note" }, language.say("exact.asOf", { time: language.timeOfDay(at), model: String(model).slice(0, 16) })),
  ].filter((node) => node !== null);
}

function line(language, text, logit) {
  return el("li", { class: "part" }, el("span", { class: "part-name" }, text), el("span", { class: "part-number tabular", title: String(logit) }, exactly(language, logit)));
}

function total(text, shown, value) {
  return el("p", { class: "part part-total" }, el("span", {}, text), el("span", { class: "part-number tabular", title: String(value) }, shown));
}

function exactly(language, value) {
  return signed(language, value, 4);
}

function plain(language, value) {
  return new Intl.NumberFormat(language.code, { minimumFractionDigits: 3, maximumFractionDigits: 3 }).format(value);
}
