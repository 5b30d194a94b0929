// The catalogues, and how a message becomes text. A message is a string with {placeholders}, or an object of such
// strings by plural category ("one", "other") that is chosen by the value called `n`.

import en from "./en.js";
import zh from "./zh-CN.js";

export const CATALOGUES = { "zh-CN": zh, en };

export class Language {
  constructor(code) {
    this.code = code;
    this._messages = CATALOGUES[code];
    this._plural = new Intl.PluralRules(code);
    this._number = new Intl.NumberFormat(code);
    this._list = new Intl.ListFormat(code, { type: "conjunction" });
    this._time = new Intl.DateTimeFormat(code, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  }

  /** Return the message `key` ("card.title") with numbers in the language's form. A missing key is a bug and throws. */
  say(key, values = {}) {
    const message = this.find(key);
    if (message === null) throw new Error(`no message ${key} in ${this.code}`);
    const text = typeof message === "string" ? message : message[this._plural.select(values.n)] ?? message.other;
    return text.replace(/\{(\w+)\}/g, (_, name) => {
      const value = values[name];
      return typeof value === "number" ? this._number.format(value) : String(value);
    });
  }

  /** Return the raw message, or null if the catalogue has none: for names that come from outside. */
  find(key) {
    let found = this._messages;
    for (const part of key.split(".")) {
      if (typeof found !== "object" || !Object.hasOwn(found, part)) return null;
      found = found[part];
    }
    return found;
  }

  number(value) {
    return this._number.format(value);
  }

  list(texts) {
    return this._list.format(texts);
  }

  timeOfDay(at) {
    return this._time.format(at);
  }
}
