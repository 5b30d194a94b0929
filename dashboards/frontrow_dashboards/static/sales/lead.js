// One lead, from the call to its end: the number on a tap, what to say, what came of it, when again, and all that happened.

import { el, icon, setAttribute, setText, show } from "../host/dom.js";
import { clean, ours } from "../host/names.js";
import { age, chips, percent } from "../host/words.js";
import { actName, dayAndTime, leadName, placeName, qualityName, renderGrade, stateWords, statusName } from "./cards.js";
import { CountdownRing } from "./countdown.js";
import { isClosed } from "./inbox.js";
import { newKey } from "./queue.js";
import { choose } from "./sheet.js";
import { entryWords, outcomeName, reasonName, stageName, tradeWord } from "./timeline.js";

const GRID = 8; // outcomes that stand there at once, in two columns
const WORDS = 3; // of what a customer said
const PURPOSES = ["call", "wechat", "check"];
const HOUR = 3_600_000;

export class LeadPage {
  /** `api` reads, `queue` does; `say(text)` tells people something in passing; `onBack()`. */
  constructor({ api, queue, say, onBack, onChange }) {
    this._api = api;
    this._queue = queue;
    this._tell = say;
    this._onBack = onBack;
    this._onChange = onChange;
    this._open = null; // the lead's id
    this.back = el("button", { type: "button", class: "icon-button back", on: { click: onBack } }, icon("chevron"));
    this.ring = new CountdownRing();
    this.grade = el("span", { class: "lead-grade" });
    this.title = el("h2", { class: "lead-title", tabindex: "-1" });
    this.state = el("p", { class: "lead-state" });
    this.head = el("header", { class: "page-head" }, this.back, el("div", { class: "page-who" }, el("div", { class: "page-name" }, this.grade, this.title), this.state), this.ring.element);
    this.waiting = el("p", { class: "lead-waiting", hidden: true, role: "status" });
    this.note = el("textarea", { class: "note-input", id: "note", rows: "2", maxlength: "2000" });
    this.noteLabel = el("label", { class: "only-read", for: "note" });
    this.sections = new Map();
    for (const name of ["decide", "summary", "contact", "advice", "outcomes", "next", "stage", "touches", "noting", "manage", "timeline"]) this.sections.set(name, new Section(name));
    this.body = el("div", { class: "page-body" }, this.waiting, ...[...this.sections.values()].map((section) => section.element));
    this.claim = el("button", { type: "button", class: "big-button", on: { click: () => this._claim() } });
    this.foot = el("footer", { class: "page-foot" }, this.claim);
    this.missing = el("div", { class: "full" });
    this.element = el("section", { class: "lead-page", hidden: true }, this.head, this.body, this.missing, this.foot);
    this.forget();
  }

  /** Leave nothing of a customer in the page. */
  forget() {
    this._told = null;
    this._status = null; // of the last answer that brought nothing
    this._revealed = null;
    this._called = false;
    this._more = false;
    this._asked = null; // the version that was asked for last
    this.note.value = "";
    for (const section of this.sections?.values() ?? []) section.clear();
  }

  open(id) {
    if (id === this._open) return;
    this._open = id;
    this.forget();
    if (id === null) return;
    this.refresh();
    this.body.scrollTop = 0;
  }

  /** Ask for the lead anew: it has changed, or the connection is back. */
  async refresh() {
    const id = this._open;
    if (id === null) return;
    const { status, body } = await this._api.get(`leads/${encodeURIComponent(id)}`);
    if (id === this._open) this._take(status, body);
  }

  /** Take a lead that an answer brought. */
  take(body) {
    if (body?.lead === this._open) this._take(200, body);
  }

  _take(status, body) {
    if (status === 200 && body !== null) {
      if (this._told !== null && body.lead === this._told.lead && body.version < this._told.version) return;
      this._told = body;
      this._status = null;
      if (!body.may.includes("reveal")) this._revealed = null;
    } else if (status === 404 || this._told === null) {
      this._told = status === 404 ? null : this._told;
      this._status = status;
    }
    this._onChange(this._told);
  }

  /** `context` is {inbox, language, trade, card}: `card` is what the list knows of the lead, or null. */
  render(context) {
    const { inbox, language, card, shut } = context;
    this._context = context;
    show(this.element, this._open !== null && !shut);
    if (this._open === null) return;
    setAttribute(this.back, "aria-label", language.say("sales.back"));
    const gone = inbox.farewells.get(this._open);
    if (gone !== undefined) this._status = 404; // also when the sentence that says why has been read
    if (this._status === 404) this._told = null;
    if (card !== null && card.version > (this._told?.version ?? -1) && this._asked !== card.version) {
      this._asked = card.version; // once for each change
      if (this._told !== null || this._status !== null) this.refresh();
    }
    // Before it is known who bears the token nothing can be done in their name.
    const told = inbox.loaded ? (this._told ?? (this._status === null ? card : null)) : null;
    this._renderMissing(told === null, gone, context);
    for (const part of [this.body, this.foot]) show(part, told !== null);
    if (told === null) {
      this._revealed = null;
      for (const section of this.sections.values()) section.clear();
      return;
    }
    this._renderHead(told, context);
    this._renderSections(told, context);
    show(this.foot, told.may.includes("claim"));
    const claiming = this._queue.items(told.lead).some((item) => item.act === "claim");
    setText(this.claim, language.say(claiming ? "sales.claiming" : "sales.claim"));
    setAttribute(this.claim, "aria-disabled", claiming ? "true" : null);
  }

  _renderMissing(missing, gone, { language }) {
    show(this.missing, missing);
    if (!missing) return;
    const asking = gone === undefined && this._status === null;
    const key = gone !== undefined ? gone.key : asking ? "asking" : this._status === 404 ? "not_there" : "unreachable";
    const text = gone !== undefined ? language.say(`sales.farewell.${key}`, { lead: leadName(language, gone.card), ...gone.values }) : language.say(`sales.missing.${key}`);
    setAttribute(this.missing, "data-kind", asking ? "asking" : "gone");
    const shown = `${language.code} ${text}`;
    if (this.missing.dataset.shown === shown) return;
    this.missing.dataset.shown = shown;
    setText(this.title, "");
    setText(this.state, "");
    this.grade.replaceChildren();
    delete this.grade.dataset.key;
    this.missing.replaceChildren(
      el("div", { class: "full-words", role: "status" }, el("div", { class: "full-icon" }, icon(asking ? "viewer" : "door")), el("p", { class: "full-title" }, text)),
      ...(asking ? [] : [el("button", { type: "button", class: "button", on: { click: () => (this._status === 404 || gone !== undefined ? this._onBack() : this.refresh()) } }, language.say(this._status === 404 || gone !== undefined ? "sales.toList" : "full.again"))]),
    );
  }

  _renderHead(told, { inbox, language }) {
    const now = inbox.now();
    renderGrade(this.grade, language, told.grade);
    setText(this.title, leadName(language, told));
    const status = statusName(language, told.status);
    setText(this.state, [status, stateWords(language, told, now)].filter((text) => text !== "").join(" · "));
    this.ring.render(language, told, now);
    const waits = this._queue.waiting(told.lead);
    show(this.waiting, waits.length > 0);
    setText(this.waiting, waits.length > 0 ? language.say("sales.queue.ofLead", { acts: language.list(waits.map((item) => actName(language, item))) }) : "");
  }

  _renderSections(told, context) {
    const { language, trade, inbox } = context;
    const busy = this._queue.items(told.lead).map((item) => `${item.act} ${item.wish.outcome ?? item.wish.stage ?? ""}`);
    const at = [language.code, told.version, told.may, trade === null, busy];
    const draw = (name, key, make) => this.sections.get(name).render([...at, ...key], make);
    const may = (act) => told.may.includes(act);
    draw("decide", [told.review], () => (may("approve") || may("review") ? this._decide(told, context) : null));
    draw("summary", [Math.floor((inbox.now() ?? 0) / 60_000)], () => this._summary(told, context));
    draw("advice", [], () => this._advice(told, context));
    draw("contact", [this._revealed, this._called], () => this._contact(told, context));
    draw("outcomes", [this._more], () => (may("outcome") && trade !== null ? this._outcomes(told, context) : null));
    draw("next", [], () => (may("stage") ? this._next(told, context) : null));
    draw("stage", [], () => (may("stage") && trade !== null ? this._stage(told, context) : null));
    draw("touches", [], () => (may("touch") ? this._touches(told, context) : null));
    draw("noting", [], () => (may("note") ? this._noting(told, context) : null));
    draw("manage", [], () => this._manage(told, context));
    draw("timeline", [told.timeline?.length], () => this._timeline(told, context));
    setText(this.noteLabel, language.say("sales.note.label"));
    setAttribute(this.note, "placeholder", language.say("sales.note.placeholder"));
  }

  // ---------------------------------------------------------------- what is shown

  _summary(told, { language, inbox }) {
    const say = (key, values) => language.say(`sales.fact.${key}`, values);
    const said = (told.raw_leads ?? []).map((raw) => clean(raw.words ?? "")).filter((text, at, all) => text !== "" && all.indexOf(text) === at);
    const words = (said.length > 0 ? said : [clean(told.words ?? "")].filter((text) => text !== "")).slice(0, WORDS);
    const facts = [
      [say("product"), clean(told.product ?? "")],
      [say("region"), placeName(told)],
      [say("room"), [clean(told.room_title || told.room), clean(told.host ?? "")].filter((text) => text !== "").join(" · ")],
      [say("score"), [language.say("sales.points", { n: told.points }), qualityName(told), told.probability === null ? say("noProbability") : say("probability", { percent: percent(told.probability) })].filter((text) => text !== "").join(" · ")],
      [say("hot"), inbox.now() === null ? dayAndTime(language, told.hot_at) : `${age(language, inbox.now() - told.hot_at)} · ${dayAndTime(language, told.hot_at)}`],
      [say("outcome"), isClosed(told) || told.outcome !== null ? [outcomeName(language, this._context.trade, told.outcome), reasonName(language, this._context.trade, told.reason)].filter((text) => text !== null && text !== "").join(" · ") : ""],
    ].filter(([, text]) => text !== "");
    return [
      el("p", { class: "chips" }, ...chips(language, told.reasons).map((text) => el("span", { class: "chip" }, text))),
      ...words.map((text) => el("blockquote", { class: "said" }, el("bdi", {}, language.say("list.quote", { text })))),
      el("dl", { class: "facts" }, ...facts.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", { class: "tabular" }, text)))),
    ];
  }

  _advice(told, { language }) {
    const sop = (told.sop ?? []).map((each) => ours(each[language.code === "en" ? "en" : "zh"])).filter((text) => text !== "");
    if (sop.length === 0 || isClosed(told)) return null;
    return [heading(language.say("sales.advice")), ...sop.map((text) => el("p", { class: "advice-text" }, text))];
  }

  _contact(told, { language }) {
    const say = (key, values) => language.say(`sales.contact.${key}`, values);
    const nodes = [heading(say("heading"))];
    if (told.do_not_contact) return [...nodes, el("p", { class: "warn" }, icon("warning"), say("forbidden"))];
    if (this._revealed !== null) {
      const { phone, others } = this._revealed;
      if (phone !== null) {
        nodes.push(
          el("p", { class: "phone tabular" }, phone),
          el("a", { class: "big-button call", href: `tel:${phone.replace(/[^\d+]/g, "")}`, on: { click: () => this._calling() } }, say("call")),
        );
      }
      if (this._called) {
        nodes.push(
          el(
            "div",
            { class: "pair", role: "group", "aria-label": say("wasAnswered") },
            button(say("answered"), () => this._touch({ channel: "call", direction: "out", answered: true })),
            button(say("notAnswered"), () => this._touch({ channel: "call", direction: "out", answered: false })),
          ),
        );
      }
      nodes.push(el("dl", { class: "facts" }, ...others.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", {}, text)))));
      return nodes;
    }
    const masked = clean(told.contact ?? "");
    nodes.push(masked === "" ? el("p", { class: "card-note" }, say("none")) : el("p", { class: "phone tabular" }, masked));
    if (told.may.includes("reveal")) {
      nodes.push(button(say("reveal"), () => this._reveal(), "button wide"), el("p", { class: "card-note" }, say("recorded")));
    } else if (told.contact !== null && told.may.includes("claim")) {
      nodes.push(el("p", { class: "card-note" }, say("claimFirst")));
    }
    return nodes;
  }

  _outcomes(told, { language, trade }) {
    const say = (key, values) => language.say(`sales.outcomes.${key}`, values);
    const shown = this._more ? trade.outcomes : trade.outcomes.slice(0, GRID);
    const busy = new Set(this._queue.items(told.lead).map((item) => item.wish.outcome));
    const buttons = shown.map((outcome) =>
      el(
        "button",
        { type: "button", class: "outcome", "data-tone": TONES[outcome.tone] ?? null, "data-focus": outcome.code, "aria-pressed": told.outcome === outcome.code ? "true" : "false", "aria-disabled": busy.has(outcome.code) ? "true" : null, on: { click: () => this._outcome(outcome) } },
        el("span", {}, tradeWord(language, outcome)),
        outcome.teaches ? el("span", { class: "teaches", title: say("teachesThis") }, icon("live"), el("span", { class: "only-read" }, say("teachesThis"))) : null,
      ),
    );
    return [
      heading(say("heading")),
      el("div", { class: "grid" }, ...buttons),
      trade.outcomes.length > GRID ? el("button", { type: "button", class: "quiet-button more-button", "aria-expanded": this._more ? "true" : "false", on: { click: () => this._toggleMore() } }, say(this._more ? "fewer" : "more", { n: trade.outcomes.length - GRID })) : null,
      shown.some((outcome) => outcome.teaches) ? el("p", { class: "card-note teach-note" }, icon("live"), say("teaches")) : null,
    ];
  }

  _next(told, { language, inbox }) {
    const say = (key, values) => language.say(`sales.next.${key}`, values);
    const times = followUps(inbox.now() ?? Date.now());
    const set = told.follow_up_at;
    return [
      heading(say("heading")),
      el("p", { class: "card-note" }, set === null ? say("none") : say("set", { time: dayAndTime(language, set) })),
      el("div", { class: "choices-row" }, ...times.map(([key, at]) => button(say(key), () => this._followUp(at))), button(say("other"), () => this._otherTime())),
    ];
  }

  _stage(told, { language, trade }) {
    const steps = trade.stages.map((stage) =>
      el(
        "button",
        { type: "button", class: "step", "data-focus": stage.code, "aria-pressed": told.stage === stage.code ? "true" : "false", on: { click: () => told.stage !== stage.code && this._do("stage", { stage: stage.code }) } },
        stageName(language, trade, stage.code),
      ),
    );
    return [heading(language.say("sales.stage")), el("div", { class: "choices-row" }, ...steps)];
  }

  _touches(told, { language }) {
    const say = (key) => language.say(`sales.touch.${key}`);
    return [
      heading(say("heading")),
      el(
        "div",
        { class: "choices-row" },
        button(say("callAnswered"), () => this._touch({ channel: "call", direction: "out", answered: true })),
        button(say("callMissed"), () => this._touch({ channel: "call", direction: "out", answered: false })),
        button(say("wechatOut"), () => this._touch({ channel: "wechat", direction: "out" })),
        button(say("wechatIn"), () => this._touch({ channel: "wechat", direction: "in" })),
      ),
    ];
  }

  _noting(told, { language }) {
    return [
      heading(language.say("sales.note.label")),
      this.noteLabel,
      this.note,
      button(language.say("sales.note.save"), () => {
        const note = this.note.value.trim();
        if (note === "") {
          this.note.focus();
          return;
        }
        this._do("note", { note });
        this.note.value = "";
      }),
    ];
  }

  _decide(told, { language }) {
    const say = (key, values) => language.say(`sales.decide.${key}`, values);
    if (told.may.includes("approve")) {
      return [
        heading(say("approveHeading", { name: told.holder_name ?? "?" })),
        el("div", { class: "pair" }, button(say("approve"), () => this._do("approve", { decision: "approve" }), "button strong"), button(say("reject"), () => this._do("approve", { decision: "reject" }))),
      ];
    }
    const end = statusName(language, told.status);
    return [
      heading(say("reviewHeading", { end })),
      el("p", { class: "card-note" }, say("reviewNote", { reason: reasonName(language, this._context.trade, told.reason) ?? "?" })),
      el("div", { class: "pair" }, button(say("accept"), () => this._do("review", { decision: "accept" }), "button strong"), button(say("reopen"), () => this._do("review", { decision: "reopen" }))),
    ];
  }

  _manage(told, { language }) {
    const say = (key) => language.say(`sales.manage.${key}`);
    const buttons = [];
    for (const act of ["assign", "transfer"]) if (told.may.includes(act)) buttons.push(button(say(act), () => this._give(act)));
    if (told.may.includes("release")) buttons.push(button(say("release"), () => this._confirm("release")));
    if (told.may.includes("recycle")) buttons.push(button(say("recycle"), () => this._confirm("recycle")));
    return buttons.length === 0 ? null : [heading(say("heading")), el("div", { class: "choices-row" }, ...buttons)];
  }

  _timeline(told, { language, trade }) {
    if (told.timeline === undefined) return null;
    const lines = [...told.timeline].reverse().map((entry) => {
      const { text, note, who, time } = entryWords(language, entry, trade);
      return el(
        "li",
        { class: "entry", "data-kind": entry.kind },
        el("p", { class: "entry-text" }, text),
        note === "" ? null : el("p", { class: "entry-note" }, el("bdi", {}, note)),
        el("p", { class: "entry-when tabular" }, `${time} · ${who}`),
      );
    });
    return [heading(language.say("sales.timeline")), el("ol", { class: "entries", role: "list" }, ...lines)];
  }

  // ---------------------------------------------------------------- what is done

  _do(act, wish) {
    const { language } = this._context;
    this._queue.add(this._open, act, wish, leadName(language, this._told ?? this._context.card));
    this._onChange(null);
  }

  _claim() {
    if (!this._queue.items(this._open).some((item) => item.act === "claim")) this._do("claim", {});
  }

  _touch(wish) {
    this._called = false;
    this._do("touch", wish);
  }

  _calling() {
    this._called = true; // when the seller comes back from the call, one tap says whether anybody was there
    this._onChange(null);
  }

  _toggleMore() {
    this._more = !this._more;
    this._onChange(null);
  }

  async _outcome(outcome) {
    const { language, trade } = this._context;
    const say = (key, values) => language.say(`sales.outcomes.${key}`, values);
    const name = tradeWord(language, outcome);
    const closeText = language.say("sales.close");
    const wish = { outcome: outcome.code };
    if (outcome.needs_reason) {
      const reasons = outcome.closes === "invalid" ? trade.invalid_reasons : trade.loss_reasons;
      const choices = reasons.map((each) => ({ value: each.code, text: tradeWord(language, each) }));
      const found = await choose({ title: say("why", { name }), note: say("reviewed"), choices, closeText });
      if (found === null) return;
      wish.reason = found.value;
    } else if (outcome.closes !== null) {
      const field = outcome.closes === "won" ? { label: say("value"), type: "number", inputmode: "decimal", min: "0", max: "9999999999", step: "0.01" } : null;
      const note = outcome.closes === "won" ? "" : say("reviewed");
      const found = await choose({ title: say("sure", { name }), note, field, choices: [{ value: true, text: say("close", { name }), tone: TONES[outcome.tone] ?? null }], closeText });
      if (found === null) return;
      if (field !== null && found.entered !== "") wish.value = Math.round(Number(found.entered) * 100);
    }
    this._do("outcome", wish);
  }

  _followUp(at) {
    this._do("stage", { stage: this._told.stage, follow_up_at: at });
  }

  async _otherTime() {
    const { language, inbox } = this._context;
    const say = (key) => language.say(`sales.next.${key}`);
    const field = { label: say("when"), type: "datetime-local", required: true, min: localTime(inbox.now() ?? Date.now()), max: "2099-12-31T23:59" };
    const found = await choose({ title: say("heading"), field, choices: [{ value: true, text: say("save") }], closeText: language.say("sales.close") });
    const at = found === null ? NaN : new Date(found.entered).getTime();
    if (Number.isFinite(at)) this._followUp(at);
  }

  async _reveal() {
    const { language } = this._context;
    const say = (key) => language.say(`sales.contact.${key}`);
    const choices = PURPOSES.map((value) => ({ value, text: language.say(`sales.purpose.${value}`) }));
    const found = await choose({ title: say("why"), note: say("recorded"), choices, closeText: language.say("sales.close") });
    if (found === null) return;
    const id = this._open;
    const { status, body } = await this._api.act(id, "reveal", { purpose: found.value }, newKey());
    if (id !== this._open) return;
    if (status === 200) this._revealed = contactOf(body);
    else this._tell(status === 0 ? say("offline") : status === 404 ? say("gone") : say("failed"));
    this._onChange(null);
    if (status === 200) this.sections.get("contact").element.querySelector(".call")?.focus();
  }

  async _give(act) {
    const { language } = this._context;
    const say = (key, values) => language.say(`sales.manage.${key}`, values);
    const { status, body } = await this._api.get("colleagues");
    if (status !== 200) {
      this._tell(say("noColleagues"));
      return;
    }
    const choices = body.colleagues
      .filter((each) => each.id !== this._told?.holder)
      .map((each) => ({ value: each.id, text: clean(each.name), note: [clean(each.team_name), say(each.there ? "there" : "away"), say("load", { n: each.open, capacity: each.capacity })].join(" · ") }));
    const found = await choose({ title: say(act), note: choices.length === 0 ? say("nobody") : "", choices, closeText: language.say("sales.close") });
    if (found !== null) this._do(act, { seller: found.value });
  }

  async _confirm(act) {
    const { language } = this._context;
    const say = (key) => language.say(`sales.manage.${key}`);
    const found = await choose({ title: say(act), note: say(`${act}Note`), choices: [{ value: true, text: say(act), tone: "bad" }], closeText: language.say("sales.close") });
    if (found !== null) this._do(act, {});
  }
}

const TONES = { positive: "good", negative: "bad" };

const TAP_MS = 50; // by when a click has followed the finger that was lifted

/**
 * A part of the page that is made anew only when what it shows has changed; the focus stays on what it was on. While a finger is on it, it
 * stays as it is: a button that is replaced under the finger would never be clicked.
 */
class Section {
  constructor(name) {
    this.element = el("section", { class: `part-of-lead ${name}`, hidden: true, on: { pointerdown: () => this._press() } });
    this._key = null;
    this._pressed = 0;
    this._later = null; // what came while it was pressed
  }

  _press() {
    this._pressed += 1;
    const lifted = new AbortController();
    const lift = () => {
      lifted.abort();
      setTimeout(() => {
        this._pressed -= 1;
        const later = this._later;
        this._later = null;
        if (later !== null) this.render(...later);
      }, TAP_MS);
    };
    for (const end of ["pointerup", "pointercancel"]) window.addEventListener(end, lift, { signal: lifted.signal, capture: true });
  }

  clear() {
    this._key = null;
    this._later = null;
    this.element.replaceChildren();
    show(this.element, false);
  }

  render(parts, make) {
    const key = JSON.stringify(parts);
    if (this._pressed > 0) {
      this._later = [parts, make];
      return;
    }
    if (key === this._key) return;
    this._key = key;
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    const name = focused?.dataset.focus ?? focused?.textContent;
    const nodes = make();
    show(this.element, nodes !== null);
    this.element.replaceChildren(...(nodes ?? []).filter((node) => node !== null));
    if (focused === null || focused === document.activeElement) return;
    const again = focused.isConnected ? focused : [...this.element.querySelectorAll("button, a")].find((each) => (each.dataset.focus ?? each.textContent) === name);
    (again ?? this.element.querySelector("h3"))?.focus();
  }
}

function heading(text) {
  return el("h3", { class: "part-heading", tabindex: "-1" }, text);
}

function button(text, onClick, className = "button") {
  return el("button", { type: "button", class: className, on: { click: onClick } }, text);
}

/** Return [key, time] of when people mostly call again; each lies ahead. */
export function followUps(now) {
  const at = (days, hour) => {
    const day = new Date(now);
    day.setDate(day.getDate() + days);
    return day.setHours(hour, 0, 0, 0);
  };
  return [["hour", now + HOUR], ["evening", at(0, 20)], ["tomorrow", at(1, 10)], ["threeDays", at(3, 10)], ["week", at(7, 10)]].filter(([, time]) => time > now);
}

function localTime(at) {
  const day = new Date(at);
  const pad = (value) => String(value).padStart(2, "0");
  return `${day.getFullYear()}-${pad(day.getMonth() + 1)}-${pad(day.getDate())}T${pad(day.getHours())}:${pad(day.getMinutes())}`;
}

const PHONE_NAMES = /phone|mobile|tel|手机|电话|号码/i;
const PHONE_LIKE = /^\+?[\d\s()-]{7,20}$/;

/** Return the number among what somebody entered, and the rest as [name, text]. */
export function contactOf(fields) {
  const texts = Object.entries(fields ?? {}).flatMap(([name, value]) => (typeof value === "string" || typeof value === "number" ? [[ours(name), ours(String(value))]] : []));
  const found = texts.find(([name, text]) => PHONE_NAMES.test(name) && PHONE_LIKE.test(text)) ?? texts.find(([, text]) => PHONE_LIKE.test(text)) ?? null;
  return { phone: found?.[1] ?? null, others: texts.filter((each) => each !== found && each[1] !== "") };
}
