// The sales inbox: joins the address, the connection, what is known of leads, what was tapped, and the views.

import { CATALOGUES, Language } from "./i18n/index.js";
import { el, icon, setAttribute, setText, show } from "./host/dom.js";
import { Link } from "./host/link.js";
import { defaultTheme } from "./host/options.js";
import { Api } from "./sales/api.js";
import { actName, Cards, leadName } from "./sales/cards.js";
import { Inbox, TABS } from "./sales/inbox.js";
import { LeadPage } from "./sales/lead.js";
import { readOptions, signOut } from "./sales/options.js";
import { Queue } from "./sales/queue.js";
import { Sound } from "./sales/sound.js";
import { Banner, Full, situation } from "./sales/states.js";

const TICK_MS = 1_000;
const TOLD_FOR_MS = 8_000;
const CLOSED_PAGE = 50;

class Sales {
  constructor(root, options) {
    this.options = options;
    this.language = new Language(options.lang);
    this.api = new Api(options);
    this.inbox = new Inbox();
    this.trade = null;
    this.tab = "waiting";
    this.closed = { next: null, asked: false };
    this.link = new Link({ address: () => address(options), onMessage: (text) => this.take(text), onChange: () => this.changed() });
    this.queue = new Queue({
      storage: window.localStorage,
      send: ({ lead, act, wish, key }) => this.api.act(lead, act, wish, key),
      who: () => this.inbox.seller,
      onDone: (item, answer) => this.done(item, answer),
      onRefused: (item, answer) => this.refused(item, answer),
      onChange: () => this.plan(),
    });
    this.sound = new Sound(window.localStorage);
    this.cards = new Cards({ onClaim: (card) => this.claim(card) });
    this.full = new Full({ onRetry: () => this.retry(), onSignOut: () => signOut(window) });
    this.banner = new Banner({ onRetry: () => this.retry() });
    this.page = new LeadPage({
      api: this.api,
      queue: this.queue,
      say: (text) => this.tell(text),
      onBack: () => this.go(null),
      onChange: (told) => {
        if (told !== null && told !== undefined) this.inbox.put(told);
        this.plan();
      },
    });
    this._planned = false;
    this._build(root);
  }

  _build(root) {
    this.dot = el("span", { class: "dot" });
    this.title = el("h1", { class: "title" });
    this.soundButton = el("button", { type: "button", class: "icon-button", on: { click: () => this.toggleSound() } });
    this.languageButton = el("button", { type: "button", class: "quiet-button language", on: { click: () => this.switchLanguage() } });
    this.head = el("header", { class: "head sales-head" }, this.dot, this.title, this.soundButton, this.languageButton);
    this.more = el("button", { type: "button", class: "quiet-button more", hidden: true, on: { click: () => this.readClosed() } });
    this.main = el("main", { class: "inbox-list" }, this.full.element, this.cards.element, this.more);
    this.tabs = new Map(TABS.map((name) => [name, this._tab(name)]));
    this.nav = el("nav", { class: "tabs" }, ...[...this.tabs.values()].map(({ button }) => button));
    this.inboxElement = el("div", { class: "inbox" }, this.banner.element, this.main, this.nav);
    this.nothingOpen = el("p", { class: "nothing-open" });
    this.toast = el("p", { class: "toast", role: "status", hidden: true, on: { click: () => this.tell("") } });
    this.announcer = el("p", { class: "only-read", role: "status", "aria-live": "polite" });
    root.append(this.head, el("div", { class: "sales-body" }, this.inboxElement, this.nothingOpen, this.page.element), this.toast, this.announcer);
    this.root = root;
  }

  _tab(name) {
    const label = el("span", {});
    const count = el("span", { class: "tab-count tabular" });
    const button = el("button", { type: "button", class: "tab", on: { click: () => this.choose(name) } }, label, count);
    return { button, label, count };
  }

  start() {
    window.addEventListener("hashchange", () => this.route());
    window.addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retry();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && document.querySelector("dialog[open]") === null && !event.isComposing) this.go(null);
    });
    setInterval(() => this.plan(), TICK_MS);
    this.link.open();
    this.readTrade();
    this.route();
  }

  // ---------------------------------------------------------------- what comes

  take(text) {
    const known = this.inbox.seller;
    this.inbox.take(text);
    const fresh = this.inbox.arrived();
    if (fresh.length > 0) {
      this.sound.ring();
      const names = fresh.slice(0, 3).map((id) => leadName(this.language, this.inbox.leads.get(id)));
      setText(this.announcer, this.language.say("sales.arrived", { n: fresh.length, names: this.language.list(names) }));
    }
    if (known !== this.inbox.seller) this.queue.flush(); // now it is known whose items these are
    this.plan();
    return null;
  }

  changed() {
    if (this.link.phase === "forbidden") {
      this.inbox.forget();
      this.page.forget();
      this.cards.render([], this.context());
    }
    if (this.link.phase === "live") {
      this.queue.flush();
      this.page.refresh();
      if (this.trade === null) this.readTrade();
    }
    this.plan();
  }

  retry() {
    this.link.hurry();
    if (this.link.phase === "live") this.queue.flush();
  }

  async readTrade() {
    const { status, body } = await this.api.get("trade");
    if (status === 200) this.trade = body;
    this.plan();
  }

  /** Read closed leads: the first of them, or with `closed.next` those that follow. */
  async readClosed() {
    const cursor = this.closed.next === null ? "" : `&cursor=${this.closed.next}`;
    const { status, body } = await this.api.get(`inbox?view=closed&limit=${CLOSED_PAGE}${cursor}`);
    if (status === 200) {
      for (const card of body.leads) this.inbox.put(card);
      this.closed = { next: body.next, asked: true };
    }
    this.plan();
  }

  // ---------------------------------------------------------------- what is done

  claim(card) {
    if (this.queue.items(card.lead).some((item) => item.act === "claim")) return;
    this.queue.add(card.lead, "claim", {}, leadName(this.language, card));
    this.plan();
  }

  done(item, { body }) {
    if (body?.gone === true) {
      this.inbox.farewell(item.lead, item.act === "release" ? "released" : "movedOn");
      return;
    }
    this.inbox.put(body);
    if (item.act === "claim" && item.tries === 0) this.go(body.lead);
    this.page.take(body);
    if (item.act === "claim" && item.tries === 0) return;
    if (item.act === "claim") this.tell(this.language.say("sales.claimedLate", { lead: item.name }));
    else this.tell(this.language.say(item.act === "outcome" && this.teaches(item.wish.outcome) ? "sales.doneTeaches" : "sales.done", { act: actName(this.language, item) }));
  }

  teaches(code) {
    return this.trade?.outcomes.some((outcome) => outcome.code === code && outcome.teaches) ?? false;
  }

  refused(item, { status, body }) {
    const own = this.language.code === "en" ? body?.detail : (body?.detail_zh ?? null);
    const why = status === 404 ? this.language.say("sales.missing.not_there") : (own ?? this.language.say("sales.refusedUnknown"));
    if (item.act === "claim" && status === 409 && typeof body?.holder_name === "string") {
      this.inbox.farewell(item.lead, "takenBy", { name: body.holder_name });
    } else {
      const maybe = item.tries > 0 && status === 409 ? this.language.say("sales.maybeDone") : "";
      this.tell(`${this.language.say("sales.refused", { lead: item.name, act: actName(this.language, item), why })}${maybe}`);
    }
    this.page.refresh();
  }

  tell(text) {
    clearTimeout(this._toastTimer);
    setText(this.toast, text);
    show(this.toast, text !== "");
    if (text !== "") this._toastTimer = setTimeout(() => this.tell(""), TOLD_FOR_MS);
  }

  // ---------------------------------------------------------------- where one is

  go(lead) {
    const hash = lead === null ? "" : `#${encodeURIComponent(lead)}`;
    if (window.location.hash === hash) return;
    const { pathname, search } = window.location;
    if (lead === null) window.history.replaceState(null, "", `${pathname}${search}`);
    else window.history.pushState(null, "", `${pathname}${search}${hash}`);
    this.route();
  }

  route() {
    const before = this.opened;
    this.opened = decode(window.location.hash.slice(1)) || null;
    this.page.open(this.opened);
    this.render();
    if (this.opened !== null && this.opened !== before) this.page.title.focus({ preventScroll: true });
    else if (before !== null && before !== undefined && this.opened === null) this.main.querySelector(`a[href="#${CSS.escape(before)}"]`)?.focus();
  }

  choose(name) {
    this.tab = name;
    this.main.scrollTop = 0;
    if (name === "closed") {
      this.closed.next = null;
      this.readClosed();
    }
    this.render();
  }

  toggleSound() {
    this.sound.toggle();
    this.render();
  }

  switchLanguage() {
    const codes = Object.keys(CATALOGUES);
    const next = codes[(codes.indexOf(this.language.code) + 1) % codes.length];
    this.language = new Language(next);
    const url = new URL(window.location.href);
    url.searchParams.set("lang", next);
    window.history.replaceState(window.history.state, "", url);
    this.render();
  }

  // ---------------------------------------------------------------- drawing

  /** Draw once before the next picture, however much arrives until then. */
  plan() {
    if (this._planned) return;
    this._planned = true;
    requestAnimationFrame(() => {
      this._planned = false;
      this.render();
    });
  }

  context() {
    const { inbox, queue, language, tab, trade } = this;
    return { inbox, queue, language, tab, trade, open: this.opened, card: inbox.leads.get(this.opened) ?? null };
  }

  render() {
    const { inbox, link, language, options, queue } = this;
    inbox.tidy();
    const tabs = new Map(TABS.map((name) => [name, inbox.tab(name)]));
    const cards = tabs.get(this.tab);
    const waiting = queue.waiting().length;
    const mine = tabs.get("mine").length;
    const { full, banner } = situation({ inbox, link, token: options.token, shown: cards.length, tab: this.tab, waiting, now: performance.now() });
    setAttribute(document.documentElement, "lang", language.code);
    this._renderHead(link, tabs);
    this.full.render(full, { language, inbox, mine });
    this.banner.render(banner, { language, waiting, durable: queue.durable, inbox });
    this.cards.render(full === null ? cards : [], this.context());
    this._renderTabs(tabs);
    const shut = !inbox.loaded && full !== null && full !== "loading"; // then the list says what to do, whatever is open
    this.page.render({ ...this.context(), shut });
    setAttribute(this.root, "data-open", this.opened !== null && !shut);
    setText(this.nothingOpen, inbox.loaded ? language.say("sales.chooseOne") : "");
    show(this.nothingOpen, this.opened === null || shut);
  }

  _renderHead(link, tabs) {
    const { language, inbox, sound } = this;
    const state = link.phase === "forbidden" ? "shut" : link.phase === "live" ? "live" : "lost";
    setAttribute(this.dot, "data-stage", inbox.loaded || state !== "lost" || link.failures > 0 ? state : "");
    const name = inbox.name === "" ? "" : ` · ${inbox.name}`;
    setText(this.title, `${language.say("sales.title")}${name}`);
    const n = tabs.get("waiting").filter((card) => card.may.includes("claim")).length;
    document.title = n > 0 ? language.say("sales.pageTitleN", { n }) : language.say("sales.pageTitle");
    const key = `${sound.on}`;
    if (this.soundButton.dataset.on !== key) {
      this.soundButton.dataset.on = key;
      this.soundButton.replaceChildren(icon(sound.on ? "sound" : "mute"));
    }
    setAttribute(this.soundButton, "aria-pressed", sound.on ? "true" : "false");
    setAttribute(this.soundButton, "aria-label", language.say("sales.sound"));
    setText(this.languageButton, language.say("switchLanguage"));
    setAttribute(this.languageButton, "aria-label", language.say("otherLanguage"));
  }

  _renderTabs(tabs) {
    const { inbox, language } = this;
    show(this.nav, inbox.loaded);
    setAttribute(this.nav, "aria-label", language.say("sales.tabs"));
    for (const [name, { button, label, count }] of this.tabs) {
      const held = tabs.get(name).filter((card) => inbox.leads.has(card.lead));
      const n = name === "closed" ? held.filter((card) => card.may.includes("review")).length : held.length;
      show(button, name !== "team" || n > 0 || inbox.seller === null);
      setText(label, language.say(`sales.tab.${name}`));
      setText(count, n > 0 ? language.number(n) : "");
      setAttribute(button, "aria-current", this.tab === name ? "page" : null);
    }
    show(this.more, this.tab === "closed" && this.closed.next !== null);
    setText(this.more, language.say("sales.more"));
  }
}

function address({ prefix, token }) {
  const url = new URL(`${prefix}/ws/sales`, window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  url.searchParams.set("token", token);
  return url;
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone % is a lead that nobody has; the daemon will say so
  }
}

const options = readOptions(window);
document.documentElement.dataset.theme = options.theme ?? (defaultTheme(window) === "dark" ? "dark" : "light");
new Sales(document.getElementById("sales"), options).start();
