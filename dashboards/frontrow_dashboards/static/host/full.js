// What stands in place of the list when there is nothing to list: one picture, one line, one sentence on what to do.

import { el, icon, setAttribute, setText, show } from "./dom.js";
import { secondsLeft } from "./head.js";

const PICTURES = {
  loading: "viewer",
  broken: "broken",
  forbidden: "locked",
  unknown_room: "door",
  before: "live",
  empty: "viewer",
  ended: "check",
  no_match: "search",
};
const SKELETON_ROWS = 4;

export class Full {
  constructor(onRetry) {
    this.picture = el("div", { class: "full-icon" });
    this.heading = el("h2", { class: "full-title" });
    this.text = el("p", { class: "full-text" });
    this.retry = el("button", { type: "button", class: "button", hidden: true, on: { click: onRetry } });
    this.skeleton = el("div", { class: "skeleton", "aria-hidden": "true", hidden: true });
    for (let row = 0; row < SKELETON_ROWS; row += 1) {
      this.skeleton.append(
        el("div", { class: "skeleton-row" }, el("i", { class: "bone bone-grade" }), el("i", { class: "bone bone-name" }), el("i", { class: "bone bone-number" }), el("i", { class: "bone bone-why" })),
      );
    }
    this.element = el(
      "section",
      { class: "full", hidden: true },
      this.skeleton,
      el("div", { class: "full-words", role: "status" }, this.picture, this.heading, this.text),
      this.retry,
    );
    this._kind = null;
  }

  /** `context` is {full, link, language, options, query, now}. */
  render(context) {
    const { full, language } = context;
    show(this.element, full !== null);
    if (full === null) {
      this._kind = null;
      return;
    }
    if (full !== this._kind) this.picture.replaceChildren(icon(PICTURES[full]));
    this._kind = full;
    setAttribute(this.element, "data-kind", full);
    show(this.skeleton, full === "loading");
    const [title, text] = words(context);
    setText(this.heading, title);
    setText(this.text, text);
    setAttribute(this.text, "aria-hidden", full === "broken" ? "true" : null); // it counts down
    show(this.retry, full === "broken" || full === "forbidden" || full === "unknown_room");
    setText(this.retry, language.say(full === "broken" ? "banner.retry" : "full.again"));
  }
}

function words({ full, link, language, options, query, now }) {
  const say = (key, values) => language.say(`full.${key}`, values);
  switch (full) {
    case "loading":
      return [say("loadingTitle"), say("loadingText")];
    case "broken": {
      const n = secondsLeft(link, now);
      return [say("brokenTitle"), say(n > 0 ? "brokenText" : "brokenNow", { n, tries: link.failures })];
    }
    case "forbidden":
      return [say("forbiddenTitle"), say(options.token === "" ? "forbiddenNoToken" : "forbiddenText")];
    case "unknown_room":
      return [say("unknownTitle", { room: options.room.slice(0, 64) }), say("unknownText")];
    case "before":
      return [say("beforeTitle"), say("beforeText")];
    case "ended":
      return [language.say("banner.endedTitle"), say("endedText")];
    case "no_match":
      return [say("noMatchTitle", { query: query.slice(0, 40) }), say("noMatchText")];
    default:
      return [say({ hot: "emptyTitleHot", warm: "emptyTitle", cold: "emptyTitleCold" }[options.minGrade]), say("emptyText")];
  }
}
