// The host's dock: joins the address's options, the connection, what is known of the room, and the views.

import { CATALOGUES, Language } from "./i18n/index.js";
import { Card } from "./host/card.js";
import { el, setAttribute, setText, show } from "./host/dom.js";
import { Foot } from "./host/foot.js";
import { Full } from "./host/full.js";
import { Head } from "./host/head.js";
import { Help } from "./host/help.js";
import { Link } from "./host/link.js";
import { isKnown, ViewerList } from "./host/list.js";
import { shownName } from "./host/names.js";
import { defaultTheme, readOptions } from "./host/options.js";
import { Room } from "./host/room.js";
import { situation } from "./host/situation.js";
import { causes, chips } from "./host/words.js";

const TICK_MS = 1_000;
const SAY_EVERY_MS = 5_000; // new hot viewers are read out together, not each over the last

class Dock {
  constructor(root, options) {
    this.options = options;
    this.language = new Language(options.lang);
    this.room = new Room();
    this.link = new Link({ address: (since) => address(options, since), onMessage: (text) => this.take(text), onChange: () => this.changed() });
    this.head = new Head({ onLanguage: () => this.switchLanguage(), onRetry: () => this.link.hurry() });
    this.full = new Full(() => this.link.hurry());
    this.list = new ViewerList({ onOpen: (viewer) => this.openCard(viewer), onDue: () => this.plan() });
    this.foot = new Foot({ onQuery: () => this.search(), onHelp: () => this.help.open(this.language), problems: options.problems });
    this.card = new Card({ onClose: (viewer) => this.list.focus(viewer), ask: (viewer, signal) => askWhy(options, viewer, signal) });
    this.help = new Help();
    this.announcer = new Announcer();
    this.head.onToggle = () => this.plan();
    this._planned = false;
    root.append(this.head.element, this.head.banner.element, this.full.element, this.list.element, this.foot.element, this.announcer.element);
    root.after(this.card.element, this.help.element);
  }

  start() {
    document.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("online", () => this.link.hurry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.link.hurry();
    });
    setInterval(() => this.plan(), TICK_MS); // ages, the clock, countdowns
    this.link.open();
    this.render();
  }

  take(text) {
    const since = this.room.take(text);
    this.plan();
    return since;
  }

  changed() {
    if (this.link.phase === "forbidden" || this.link.phase === "unknown_room") {
      this.room.forget();
      this.list.clear();
      this.card.forget();
      this.announcer.forget();
    }
    this.plan();
  }

  /** Draw once before the next picture, however much arrives until then. A hidden page draws nothing. */
  plan() {
    if (this._planned) return;
    this._planned = true;
    requestAnimationFrame(() => {
      this._planned = false;
      this.render();
    });
  }

  render() {
    const { room, link, language, options } = this;
    const now = performance.now();
    const query = this.foot.query;
    const matching = room.ranked(options.minGrade).filter((row) => this.matches(row, query));
    const { full, banner } = situation({ room, link, query, visible: matching.length, now });
    const context = { room, link, language, options, query, matching, full, banner, now };
    setAttribute(document.documentElement, "lang", language.code);
    this.head.render(context);
    this.full.render(context);
    show(this.list.element, full === null);
    this.foot.render(context);
    if (!room.loaded) return;
    this.list.render(context);
    this.card.render(context);
    this.announcer.hear(matching, context);
  }

  matches(row, query) {
    if (query === "") return true;
    const texts = [shownName(row.name, this.options.mask), ...chips(this.language, row.reasons), ...this.moving(row)];
    const wanted = query.toLocaleLowerCase();
    return texts.some((text) => text.toLocaleLowerCase().includes(wanted));
  }

  moving(row) {
    return isKnown(row, this.room) ? causes(this.language, row.reasons).map(({ text }) => text) : [];
  }

  search() {
    this.list.jump();
    this.plan();
  }

  switchLanguage() {
    const codes = Object.keys(CATALOGUES);
    const next = codes[(codes.indexOf(this.language.code) + 1) % codes.length];
    this.language = new Language(next);
    const url = new URL(window.location.href);
    url.searchParams.set("lang", next);
    window.history.replaceState(null, "", url); // a reload keeps the choice; nothing is stored
    this.render();
  }

  openCard(viewer) {
    this.card.open(viewer);
    this.render();
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]") !== null) return; // the dialog has its own
    const typing = event.target instanceof HTMLInputElement;
    const action = { ArrowDown: () => this.list.step(1), ArrowUp: () => this.list.step(-1) }[event.key] ?? (typing ? null : this.letter(event.key));
    if (action === null) return;
    event.preventDefault();
    action();
  }

  letter(key) {
    // An IME or another layout may give the full-width form.
    if (key === "/" || key === "／" || key === "、") return this.room.loaded ? () => this.foot.openSearch() : null;
    if (key === "?" || key === "？") return () => this.help.open(this.language);
    if (key === "Escape" && !this.foot.search.hidden) return () => this.foot.closeSearch();
    return null;
  }
}

/** Tells people who listen who has just become hot. */
class Announcer {
  constructor() {
    this.element = el("p", { class: "only-read", role: "status", "aria-live": "polite" });
    this._known = null; // the hot viewers that need no word any more
    this._saidAt = -Infinity;
  }

  forget() {
    this._known = null;
    setText(this.element, "");
  }

  hear(rows, { language, options, query, now }) {
    if (query !== "") return; // what the search hides is not new when it ends
    const hot = rows.filter((row) => row.grade === "hot");
    const viewers = new Set(hot.map((row) => row.viewer));
    if (this._known === null) this._known = viewers; // who was there already is read in the list
    const fresh = hot.filter((row) => !this._known.has(row.viewer));
    if (fresh.length === 0 || now - this._saidAt < SAY_EVERY_MS) return;
    const names = fresh.map((row) => shownName(row.name, options.mask) || language.say("list.unnamed"));
    setText(this.element, language.say("list.newHot", { names: language.list(names) }));
    this._known = viewers;
    this._saidAt = now;
  }
}

function address({ prefix, room, token }, since) {
  const url = new URL(`${prefix}/ws/host/${encodeURIComponent(room)}`, window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("token", token);
  if (since !== null) url.searchParams.set("since", String(since));
  return url;
}

function askWhy({ prefix, room, token }, viewer, signal) {
  const url = new URL(`${prefix}/api/v1/rooms/${encodeURIComponent(room)}/reasons`, window.location.href);
  url.searchParams.set("viewer", viewer);
  return fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
}

const options = readOptions(window.location);
document.documentElement.dataset.theme = options.theme ?? defaultTheme(window);
document.documentElement.style.setProperty("--scale", String(options.scale));
new Dock(document.getElementById("dock"), options).start();
