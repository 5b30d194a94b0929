// What the daemon says of its model, laid out: one sentence, then the figures behind it. What is not known says so.

import { el, icon, setAttribute, setText } from "../host/dom.js";
import { signed } from "../host/words.js";
import { CATALOGUES, Language } from "../i18n/index.js";
import { curve } from "./curve.js";

const FULL = { loading: "live", forbidden: "locked", broken: "broken", off: "quiet" };
const OURS = ["shown", "champion"]; // of the served columns; the others must be beaten
const BASELINES = ["base_rate", "points", "recency"];
const KNOWN = new Set([...OURS, ...BASELINES]);
const MOST_ALARMS = 5;

export class Page {
  /** `onRetry()` when somebody asks for it at once. */
  constructor(root, language, onRetry) {
    this._language = language;
    this._onRetry = onRetry;
    this._state = { kind: "loading" };
    this._lost = false; // the last try failed; what is shown is older
    this.title = el("h1", { class: "title" });
    this.asOf = el("span", { class: "as-of tabular" });
    this.language = el("button", { type: "button", class: "quiet-button language", on: { click: () => this._switch() } });
    this.body = el("main", { class: "model-body" });
    root.append(el("header", { class: "head" }, el("div", { class: "head-line" }, this.title, this.asOf, this.language)), this.body);
    this.render();
  }

  /** Take what came of asking: {kind: "told", told, at}, {kind: "forbidden"} or {kind: "broken"}. */
  take(state) {
    this._lost = state.kind === "broken" && this._state.kind === "told";
    if (!this._lost) this._state = state;
    this.render();
  }

  render() {
    const language = this._language;
    const say = (key, values) => language.say(`modelPage.${key}`, values);
    setAttribute(document.documentElement, "lang", language.code);
    document.title = say("title");
    setText(this.title, say("title"));
    setText(this.language, language.say("switchLanguage"));
    setAttribute(this.language, "aria-label", language.say("otherLanguage"));
    const { kind, told, at } = this._state;
    setText(this.asOf, kind === "told" ? say(this._lost ? "asOfLost" : "asOf", { time: language.timeOfDay(at) }) : "");
    setAttribute(this.asOf, "data-tone", this._lost ? "bad" : null);
    if (kind !== "told" || !told.enabled) {
      this.body.replaceChildren(full(say, kind === "told" ? "off" : kind, this._onRetry));
      return;
    }
    this.body.replaceChildren(
      ...sentences(language, say, told),
      facts(language, say, told),
      section(say("figures"), ...figures(language, say, told)),
      el(
        "div",
        { class: "model-columns" },
        section(say("reliability"), ...reliability(language, say, told)),
        el("div", {}, section(say("challengers"), ...challengers(language, say, told)), section(say("alarms"), ...alarms(language, say, told))),
      ),
    );
  }

  _switch() {
    const codes = Object.keys(CATALOGUES);
    const next = codes[(codes.indexOf(this._language.code) + 1) % codes.length];
    this._language = new Language(next);
    const url = new URL(window.location.href);
    url.searchParams.set("lang", next);
    window.history.replaceState(null, "", url);
    this.render();
  }
}

function full(say, kind, onRetry) {
  const retry = kind === "broken" || kind === "forbidden";
  return el(
    "section",
    { class: "full", "data-kind": kind === "loading" ? "asking" : kind }, // "loading" is the dock's, with its rows
    el(
      "div",
      { class: "full-words", role: "status" },
      el("div", { class: "full-icon" }, icon(FULL[kind])),
      el("h2", { class: "full-title" }, say(`${kind}Title`)),
      el("p", { class: "full-text" }, say(`${kind}Text`)),
    ),
    retry ? el("button", { type: "button", class: "button", on: { click: onRetry } }, say("again")) : null,
  );
}

function section(heading, ...nodes) {
  return el("section", { class: "model-section" }, el("h2", { class: "model-heading" }, heading), ...nodes);
}

function note(text) {
  return el("p", { class: "card-note" }, text);
}

// ---------------------------------------------------------------- what it comes to

function sentences(language, say, told) {
  const texts = [];
  const beaten = best(told);
  const shown = compared(told, beaten);
  if (!told.ready) texts.push(["warm", say("notReady", { n: told.labels, positives: told.positives })]);
  else if (shown === null || shown.roc_auc === null) texts.push(["soft", say("readyUnjudged")]);
  else if (beaten === null) texts.push(["good", say("ready", { auc: fixed(language, shown.roc_auc, 3) })]);
  else {
    const wins = shown.roc_auc > beaten.roc_auc;
    const values = { own: columnName(language, shown.column), auc: fixed(language, shown.roc_auc, 3), name: columnName(language, beaten.column), other: fixed(language, beaten.roc_auc, 3) };
    texts.push([wins ? "good" : "warm", say(wins ? "readyBeats" : "readyLoses", values)]);
  }
  if (told.frozen) texts.push(["warm", say("frozen")]);
  if (typeof told.other_outcome === "string") texts.push(["warm", say("otherOutcome")]);
  return texts.map(([tone, text]) => el("p", { class: "model-sentence", "data-tone": tone }, text));
}

/** Return the baseline that orders best; null without any. */
function best(told) {
  const baselines = columns(told).filter((each) => BASELINES.includes(each.column) && each.roc_auc !== null);
  return baselines.sort((a, b) => b.roc_auc - a.roc_auc)[0] ?? null;
}

/** Return which of our columns may be held against a baseline: one that is judged over the same outcomes. */
function compared(told, beaten) {
  const shown = column(told, "shown");
  return beaten === null || shown?.labels === beaten.labels ? shown : column(told, "champion");
}

function facts(language, say, told) {
  const { report, hot_to_outcome: waited } = told;
  const rows = [
    [say("version"), el("code", {}, told.version)],
    [say("leads"), typeof told.leads === "string" ? el("code", {}, told.leads.slice(0, 16)) : say("leadsNone")],
    // The daemon's own words, as with alarms: English in every language.
    ...[["outcome", told.outcome], ["otherLearnt", told.other_outcome]]
      .filter(([, words]) => typeof words === "string")
      .map(([key, words]) => [say(key), el("span", { lang: "en" }, words)]),
    [say("learnt"), say("learntFrom", { n: told.labels, positives: told.positives })],
    [say("judged"), report === null ? say("notJudged") : say("judgedOver", { n: report.labels })],
    [say("immature"), report === null || report.immature === null ? say("notEnough") : share(language, report.immature)],
    [say("rollbacks"), language.number(told.rollbacks)],
    [say("waited"), waited === null || waited === undefined || waited.median_s === null ? say("waitedUnknown") : waitedWords(language, say, waited)],
  ];
  return el("dl", { class: "facts model-facts tabular" }, ...rows.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text))));
}

function waitedWords(language, say, { hot, outcomes, median_s: seconds, share_within: within }) {
  const minutes = fixed(language, seconds / 60, 1);
  return say("waitedMedian", { minutes, n: outcomes, hot, within: share(language, within) });
}

// ---------------------------------------------------------------- figures

const FIGURES = [
  ["roc_auc", 3],
  ["pr_auc", 3],
  ["precision", 3],
  ["log_loss", 4],
  ["calibration_error", 4],
];

function figures(language, say, told) {
  const all = columns(told);
  if (all.length === 0 || all.every((each) => each.labels === 0)) return [note(say("figuresNone"))];
  const head = el("tr", {}, el("th", { scope: "col" }, say("column")), ...[...FIGURES.map(([name]) => name), "ratio", "labels"].map((name) => el("th", { scope: "col" }, say(name))));
  const rows = all.map((each) =>
    el(
      "tr",
      { "data-ours": each.column === "shown" },
      el("th", { scope: "row" }, columnName(language, each.column)),
      ...FIGURES.map(([name, digits]) => cell(say, each[name] === null ? null : fixed(language, each[name], digits))),
      cell(say, ratio(language, each.ratio)),
      el("td", {}, language.number(each.labels)),
    ),
  );
  const table = el("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": say("figures") }, el("table", { class: "tabular" }, el("thead", {}, head), el("tbody", {}, ...rows)));
  const uneven = new Set(all.map((each) => each.labels)).size > 1;
  return [table, note(say("figuresNote")), ...(uneven ? [note(say("figuresUneven"))] : [])];
}

function cell(say, text) {
  return text === null ? el("td", { class: "none-yet" }, say("none")) : el("td", {}, text);
}

function ratio(language, found) {
  if (found === null || found.value === null) return null;
  const high = found.high === null ? "∞" : fixed(language, found.high, 2);
  return `${fixed(language, found.value, 2)} (${fixed(language, found.low, 2)}–${high})`;
}

function columns(told) {
  const own = told.report?.columns ?? [];
  const names = new Set(own.map((each) => each.column));
  return [...own, ...(told.challengers?.report.columns ?? []).filter((each) => !names.has(each.column))];
}

function column(told, name) {
  return columns(told).find((each) => each.column === name) ?? null;
}

function columnName(language, name) {
  return KNOWN.has(name) ? language.say(`modelPage.columns.${name}`) : language.say("modelPage.challenger", { name });
}

// ---------------------------------------------------------------- reliability, challengers, alarms

function reliability(language, say, told) {
  const judged = OURS.map((name) => column(told, name)).find((each) => each !== null && each.curve.length > 0) ?? null;
  if (judged === null) return [note(say("curveNone"))];
  const rows = judged.curve.map((bin) =>
    el("tr", {}, ...[share(language, bin.mean_p), share(language, bin.share), `${share(language, bin.low)}–${share(language, bin.high)}`, language.number(Math.round(bin.weight))].map((text) => el("td", {}, text))),
  );
  const head = ["promised", "came", "interval", "labels"].map((name) => el("th", { scope: "col" }, say(name)));
  return [
    el("figure", { class: "curve-figure" }, curve(language, judged.curve), el("figcaption", { class: "card-note" }, say("curveNote", { name: columnName(language, judged.column) }))),
    el("details", { class: "exact" }, el("summary", {}, say("curveTable")), el("table", { class: "tabular" }, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows))),
  ];
}

function challengers(language, say, told) {
  if (told.challengers === null) return [note(say("challengersNone"))];
  const duels = Object.entries(told.challengers.duels);
  if (duels.length === 0) return [note(say("challengersNone"))];
  return duels.map(([name, { decision, comparison }]) =>
    el(
      "article",
      { class: "duel" },
      el("h3", { class: "duel-name" }, name, el("span", { class: "duel-decision", "data-tone": decision === "promote" ? "good" : "soft" }, say({ promote: "promote", keep: "keep" }[decision] ?? "notEnough"))),
      note(duelWords(language, say, comparison)),
    ),
  );
}

function duelWords(language, say, { advantage, any_time: sure, outcomes, labels, blocks }) {
  const basis = say("duelBasis", { outcomes: language.number(outcomes), labels: language.number(labels), blocks: language.number(blocks) });
  if (advantage === null || sure === null) return basis;
  const values = { nats: signed(language, advantage, 4), low: signed(language, sure[0], 4), high: signed(language, sure[1], 4) };
  return `${say("duelAdvantage", values)} ${basis}`;
}

function alarms(language, say, told) {
  if (told.alarms.length === 0) return [note(say("alarmsNone"))];
  const latest = told.alarms.slice(-MOST_ALARMS).reverse();
  return latest.map(({ kind, sentence, roll_back: back }) =>
    el(
      "article",
      { class: "duel" },
      el("h3", { class: "duel-name" }, say(`alarm.${kind}`), back ? el("span", { class: "duel-decision", "data-tone": "bad" }, say("rolledBack")) : null),
      // The daemon's own sentence, for whoever mends it; it is English in every language.
      el("p", { class: "card-note", lang: "en" }, sentence),
    ),
  );
}

// ---------------------------------------------------------------- numbers

function fixed(language, value, digits) {
  return new Intl.NumberFormat(language.code, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

function share(language, value) {
  return new Intl.NumberFormat(language.code, { style: "percent", maximumFractionDigits: value < 0.1 ? 2 : 0 }).format(value);
}
