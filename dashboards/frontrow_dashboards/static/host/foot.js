// The bottom of the dock: notices, the search, what the model does, and the way to help.

import { el, icon, setAttribute, setText, show } from "./dom.js";

export class Foot {
  /** `onQuery(text)` for each change of the search; `onHelp()`. */
  constructor({ onQuery, onHelp, problems }) {
    this._onQuery = onQuery;
    this._problems = problems;
    this._dismissed = false;
    this._unreadable = 0; // dismissed so far
    this.query = "";
    this.notices = el("div", { class: "notices", role: "status", hidden: true });
    this.model = el("span", { class: "model tabular" });
    this.searchLabel = el("label", { class: "only-read", for: "search" });
    this.input = el("input", {
      type: "search", id: "search", class: "search-input", autocomplete: "off", spellcheck: "false", maxlength: "64",
      on: { input: () => this._typed(), keydown: (event) => this._key(event) },
    }); // prettier-ignore
    this.searchClose = el("button", { type: "button", class: "icon-button", on: { click: () => this.closeSearch() } }, icon("close"));
    this.search = el("div", { class: "search", role: "search", hidden: true }, icon("search"), this.searchLabel, this.input, this.searchClose);
    this.searchButton = el("button", { type: "button", class: "icon-button", on: { click: () => this.openSearch() } }, icon("search"));
    this.helpButton = el("button", { type: "button", class: "icon-button", on: { click: onHelp } }, icon("help"));
    this.line = el("div", { class: "foot-line" }, this.model, this.searchButton, this.helpButton);
    this.element = el("footer", { class: "foot" }, this.notices, this.search, this.line);
  }

  /** `context` is {room, language, full}. */
  render({ room, language, full }) {
    show(this.searchButton, full === null || full === "no_match"); // with nothing to search there is no search
    const [text, detail] = modelWords(language, room);
    setText(this.model, text);
    setAttribute(this.model, "title", detail ?? text);
    setText(this.searchLabel, language.say("search.label"));
    setAttribute(this.input, "placeholder", language.say("search.placeholder"));
    label(this.searchButton, language.say("search.open"), "/");
    label(this.searchClose, language.say("search.close"), "Esc");
    label(this.helpButton, language.say("help.open"), "?");
    this._renderNotices(room, language);
  }

  openSearch() {
    show(this.search, true);
    show(this.line, false);
    this.input.focus();
  }

  closeSearch() {
    if (this.search.hidden) return;
    show(this.search, false);
    show(this.line, true);
    this.input.value = "";
    this._typed();
    this.searchButton.focus();
  }

  _typed() {
    this.query = this.input.value.trim();
    this._onQuery();
  }

  _key(event) {
    if (event.key === "Escape") {
      event.preventDefault(); // a search field would only clear itself
      this.closeSearch();
    }
  }

  _renderNotices(room, language) {
    const texts = this._dismissed ? [] : this._problems.map((problem) => problemWords(language, problem));
    const unreadable = room.unreadable - this._unreadable;
    if (unreadable > 0) texts.push(language.say("notice.unreadable", { n: unreadable }));
    const key = JSON.stringify([language.code, texts]);
    if (key === this._noticesKey) return;
    this._noticesKey = key;
    show(this.notices, texts.length > 0);
    const dismiss = el("button", { type: "button", class: "quiet-button", on: { click: () => this._dismiss(room) } }, language.say("notice.dismiss"));
    this.notices.replaceChildren(icon("warning"), el("div", { class: "notice-texts" }, ...texts.map((text) => el("p", {}, text))), dismiss);
  }

  _dismiss(room) {
    this._dismissed = true;
    this._unreadable = room.unreadable;
    this._onQuery(); // draws again
  }
}

function modelWords(language, room) {
  if (room.state === null) return ["", null];
  const { model } = room.state;
  if (!model.enabled) return [language.say("model.off"), null];
  const { labels: n, positives, final, finalPositives } = model;
  const values = { n, positives, final, finalPositives };
  // In short, the final ones: they come last, and it is mostly them that are waited for.
  if (!model.ready) return [language.say("model.learningFrom", { n: final, positives: finalPositives }), language.say("model.learningCard", values)];
  return [language.say("model.readyFrom", values), null];
}

const SHOWN = 48; // characters of what the link's author typed

function problemWords(language, { kind, key, hint, value }) {
  if (kind === "bad_value") return language.say("notice.badValue", { key, value: value.slice(0, SHOWN) });
  const name = key.slice(0, SHOWN);
  return hint === null ? language.say("notice.unknownKey", { key: name }) : language.say("notice.unknownKeyHint", { key: name, hint });
}

function label(button, text, key) {
  setAttribute(button, "aria-label", text);
  setAttribute(button, "title", `${text} (${key})`);
  setAttribute(button, "aria-keyshortcuts", key === "Esc" ? "Escape" : key);
}
