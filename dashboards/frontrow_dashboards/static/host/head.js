// The top of the dock: the room, what the session and the feeds do, the product on show, and one banner at most.

import { el, icon, setAttribute, setText, show } from "./dom.js";
import { clean, ours } from "./names.js";
import { clock } from "./words.js";

export class Head {
  constructor({ onLanguage, onRetry }) {
    this.title = el("h1", { class: "title" });
    this.language = el("button", { type: "button", class: "quiet-button language", on: { click: onLanguage } });
    this.dot = el("span", { class: "dot", "aria-hidden": "true" });
    this.stage = el("span", { class: "stage-word" });
    this.clock = el("span", { class: "clock tabular" });
    this.feedText = el("span", {});
    this.feedButton = el(
      "button",
      { type: "button", class: "feed-state", "aria-expanded": "false", "aria-controls": "feeds", on: { click: () => this._toggle() } },
      this.feedText,
      icon("chevron", "icon chevron"),
    );
    this.online = el("span", { class: "meta tabular" });
    this.pace = el("span", { class: "meta tabular" });
    this.feeds = el("div", { class: "feeds", id: "feeds", hidden: true });
    this.productLabel = el("span", { class: "product-label" });
    this.productName = el("bdi", { class: "product-name" });
    this.product = el("p", { class: "product", hidden: true }, this.productLabel, this.productName);
    this.element = el(
      "header",
      { class: "head" },
      el("div", { class: "head-line" }, el("span", { class: "stage" }, this.dot, this.stage, this.clock), this.title, this.language),
      el("div", { class: "meta-line" }, el("div", { class: "meta-items" }, this.feedButton, this.online, this.pace)),
      this.feeds,
      this.product,
    );
    this.banner = new Banner(onRetry);
  }

  /** `context` is {room, link, language, options, banner, now}. */
  render(context) {
    const { room, link, language } = context;
    const state = room.state;
    const title = ours(state?.room.title) || ours(state?.room.id) || clean(context.options.room);
    setText(this.title, title);
    setAttribute(this.title, "title", title);
    document.title = language.say("pageTitle", { title });
    setText(this.language, language.say("switchLanguage"));
    setAttribute(this.language, "aria-label", language.say("otherLanguage"));
    setAttribute(this.language, "title", language.say("otherLanguage"));
    this._renderStage(context, state);
    // What the feeds did when the connection broke says nothing of now, so it is not shown.
    const told = state !== null && context.banner !== "lost";
    this._renderFeeds(language, told ? room : null);
    this._renderNumbers(language, told ? state : null);
    setText(this.productLabel, language.say("meta.onShow"));
    setText(this.productName, state !== null && state.product !== null ? clean(state.product) : "");
    show(this.product, this.productName.textContent !== "");
    this.banner.render(context);
  }

  _renderStage({ room, link, language, banner }, state) {
    const lost = banner === "lost" || link.phase === "waiting";
    const shut = link.phase === "forbidden" || link.phase === "unknown_room";
    const stage = shut ? "shut" : lost ? "lost" : state === null ? "unknown" : room.stage;
    setAttribute(this.dot, "data-stage", banner === "quiet" ? "quiet" : stage);
    setText(this.stage, language.say(`stage.${stage}`));
    let time = "";
    if (state !== null && state.started_at !== null) {
      if (stage === "live") time = clock(room.now() - state.started_at);
      else if (stage === "ended" && state.last_event_at !== null)
        time = language.say("meta.lasted", { time: clock(state.last_event_at - state.started_at) });
    }
    setText(this.clock, time);
  }

  _renderFeeds(language, room) {
    show(this.feedButton, room !== null);
    if (room === null) {
      show(this.feeds, false);
      setAttribute(this.feedButton, "aria-expanded", "false");
      return;
    }
    const feeds = room.state.feeds;
    const summary = feedsSummary(language, room);
    setText(this.feedText, summary.text);
    setAttribute(this.feedButton, "data-tone", summary.tone);
    setAttribute(this.feedButton, "title", language.say("feed.toggle"));
    if (this.feeds.hidden) return; // built when it is looked at
    const lines = feeds.map((feed) => feedLine(language, room, feed));
    if (feeds.length === 0) lines.push(el("p", { class: "feed-note" }, language.say("feed.empty")));
    if (room.state.dropped > 0)
      lines.push(el("p", { class: "feed-note", "data-tone": "warm" }, language.say("feed.dropped", { n: room.state.dropped })));
    const key = lines.map((line) => line.textContent).join("\n");
    if (key !== this._feedsKey) this.feeds.replaceChildren(...lines);
    this._feedsKey = key;
  }

  _renderNumbers(language, state) {
    setText(this.online, state?.viewers_online != null ? language.say("meta.watching", { n: state.viewers_online }) : "");
    const pace = state?.events_per_minute != null && state.session !== null && !state.ended;
    setText(this.pace, pace ? language.say("meta.perMinute", { n: state.events_per_minute }) : "");
    show(this.online, this.online.textContent !== "");
    show(this.pace, this.pace.textContent !== "");
  }

  _toggle() {
    show(this.feeds, this.feeds.hidden);
    setAttribute(this.feedButton, "aria-expanded", String(!this.feeds.hidden));
    this._feedsKey = null;
    this.onToggle?.();
  }
}

/** Return what all feeds together do, as one sentence and its tone: good, warm (being mended) or bad. */
export function feedsSummary(language, room) {
  const feeds = room.state.feeds;
  if (feeds.length === 0) {
    return { text: language.say(room.state.last_event_at === null ? "feed.none" : "feed.pushed"), tone: "good" };
  }
  const connected = feeds.filter((feed) => feed.state === "connected").length;
  if (feeds.length > 1 && connected > 0) {
    if (connected === feeds.length) return { text: language.say("feed.all", { n: connected }), tone: "good" };
    return { text: language.say("feed.some", { n: connected, all: feeds.length }), tone: "warm" };
  }
  const order = ["refused", "waiting", "connecting", "connected", "ended"];
  const worst = [...feeds].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))[0];
  return { text: feedSentence(language, room, worst), tone: TONES[worst.state] };
}

const TONES = { connected: "good", connecting: "soft", waiting: "warm", refused: "bad", ended: "soft" };

function feedSentence(language, room, feed) {
  if (feed.state !== "waiting" || feed.retry_in_s === null) return language.say(`feed.${feed.state}`);
  // `retry_in_s` was true at `since`; the page counts it down by the server's clock.
  const passed = feed.since === null ? room.now() - room.state.now : room.now() - feed.since;
  const left = Math.ceil(feed.retry_in_s - passed / 1_000);
  return left > 0 ? language.say("feed.waitingIn", { n: left }) : language.say("feed.waiting");
}

function feedLine(language, room, feed) {
  const since = feed.since === null ? "" : language.say("feed.since", { time: language.timeOfDay(feed.since) });
  return el(
    "div",
    { class: "feed" },
    el("span", { class: "feed-name" }, el("bdi", {}, clean(feed.id)), el("span", { class: "feed-kind" }, clean(feed.connector))),
    el("span", { class: "feed-what", "data-tone": TONES[feed.state] }, feedSentence(language, room, feed)),
    el("span", { class: "feed-since tabular" }, since),
    // The daemon's own phrase, for whoever mends it; it is English in every language.
    feed.detail === "" ? null : el("span", { class: "feed-detail", lang: "en" }, clean(feed.detail)),
  );
}

const BANNERS = {
  lost: { icon: "broken", tone: "bad" },
  feed_refused: { icon: "warning", tone: "bad" },
  feed_waiting: { icon: "broken", tone: "warm" },
  quiet: { icon: "quiet", tone: "warm" },
  ended: { icon: "check", tone: "soft" },
};

class Banner {
  constructor(onRetry) {
    this.picture = el("span", { class: "banner-icon" });
    this.heading = el("strong", { class: "banner-title" });
    this.text = el("span", { class: "banner-text" });
    this.retry = el("button", { type: "button", class: "button", hidden: true, on: { click: onRetry } });
    this.element = el(
      "div",
      { class: "banner", role: "status", hidden: true },
      this.picture,
      el("div", { class: "banner-words" }, this.heading, this.text),
      this.retry,
    );
    this._kind = null;
  }

  render({ room, link, language, banner, now }) {
    show(this.element, banner !== null);
    if (banner === null) {
      this._kind = null;
      return;
    }
    if (banner !== this._kind) this.picture.replaceChildren(icon(BANNERS[banner].icon));
    this._kind = banner;
    setAttribute(this.element, "data-tone", BANNERS[banner].tone);
    setAttribute(this.element, "data-kind", banner);
    const [title, text] = bannerWords(language, room, link, banner, now);
    setText(this.heading, title);
    setText(this.text, text);
    // A countdown would be read out each second; the title alone is news.
    setAttribute(this.text, "aria-hidden", banner === "lost" ? "true" : null);
    show(this.retry, banner === "lost");
    setText(this.retry, language.say("banner.retry"));
  }
}

function bannerWords(language, room, link, banner, now) {
  switch (banner) {
    case "lost": {
      const time = language.timeOfDay(room.state?.now ?? room.now() ?? 0);
      const n = secondsLeft(link, now);
      const values = { time, n, tries: Math.max(1, link.failures) };
      return [language.say("banner.lostTitle"), language.say(n > 0 ? "banner.lostText" : "banner.lostNow", values)];
    }
    case "feed_refused": {
      const feed = room.state.feeds.find((one) => one.state === "refused");
      const detail = clean(feed.detail) || clean(feed.id);
      return [language.say("banner.feedRefusedTitle"), language.say("banner.feedRefusedText", { detail })];
    }
    case "feed_waiting": {
      const feed = room.state.feeds.find((one) => one.state === "waiting");
      return [language.say("banner.feedWaitingTitle"), language.say("feed.sentence", { text: feedSentence(language, room, feed) })];
    }
    case "quiet":
      return [language.say("banner.quietTitle", { n: room.quietMinutes() }), language.say("banner.quietText")];
    default:
      return [language.say("banner.endedTitle"), language.say("banner.endedText")];
  }
}

/** Return the whole seconds until the next try, 0 while one is under way. */
export function secondsLeft(link, now) {
  return link.retryAt === null ? 0 : Math.max(0, Math.ceil((link.retryAt - now) / 1_000));
}
