// The rows. What is in a row changes at once; where rows stand changes at most every two seconds, and not at all
// while the pointer or the focus is in the list: nobody clicks what jumped under the finger.

import { el, icon, ring, setAttribute, setRing, setText, show } from "./dom.js";
import { clean, shownName } from "./names.js";
import { GRADES } from "./options.js";
import { age, between, causes, chips, percent } from "./words.js";

const MOVE_EVERY_MS = 2_000;
// A pointer that somebody left lying in the dock must not stop the list for the rest of the stream.
const HELD_FOR_MS = 30_000;
const MORE_STEP = 20;

export class ViewerList {
  /** `onOpen(viewer)` when a row is chosen; `onDue()` when what waited may move, or more rows are asked for. */
  constructor({ onOpen, onDue }) {
    this._onOpen = onOpen;
    this._onDue = onDue;
    this._views = new Map(); // viewer → RowView, of the rows that stand in the page
    this._order = ""; // of what stands in the page
    this._movedAt = -Infinity;
    this._timer = 0;
    this._pointerInside = false;
    this._activeAt = -Infinity;
    this._current = null; // the viewer that Tab reaches
    this._extra = 0;
    this._jump = true; // the next change of order is what somebody asked for, or the first
    this._sections = new Map(GRADES.map((grade) => [grade, new Section(grade)]));
    this.more = el("button", { type: "button", class: "quiet-button more", hidden: true, on: { click: () => this._showMore() } });
    this.held = el("p", { class: "held", hidden: true, "aria-hidden": "true" });
    this._columns = el("div", { class: "sections" }, ...[...this._sections.values()].map((section) => section.element));
    this.element = el("main", { class: "list", hidden: true }, this.held, this._columns, this.more);
    this._watch();
  }

  /** Let the next render order the rows at once. */
  jump() {
    this._jump = true;
  }

  /** Take every row out of the page. */
  clear() {
    for (const view of this._views.values()) view.element.remove();
    this._views.clear();
    this._order = "";
    this._jump = true;
  }

  /** `context` is {room, language, options, matching, query}; `matching` are the rows, best first. */
  render(context) {
    const { room, language, options, matching } = context;
    const rows = this._chosen(matching, options.limit + this._extra);
    setAttribute(this.element, "aria-label", language.say("list.label"));
    for (const [viewer, view] of this._views) view.render(room.rows.get(viewer) ?? null, context);
    this._place(rows, context);
    for (const [grade, section] of this._sections) section.render(grade, context);
    this._renderMore(language, matching.length, rows.length);
    this._setCurrent();
  }

  /** Return the rows to be shown: the best `limit`, and where each grade has a column of its own, so many of each. */
  _chosen(matching, limit) {
    // The style sheet decides when there are columns; it is asked, so that the two cannot disagree.
    if (getComputedStyle(this._columns).display !== "grid") return matching.slice(0, limit);
    const left = new Map(GRADES.map((grade) => [grade, limit]));
    return matching.filter((row) => {
      left.set(row.grade, left.get(row.grade) - 1);
      return left.get(row.grade) >= 0;
    });
  }

  /** Move the focus by one row; from outside the list, to the row that had it last, or the first. */
  step(by) {
    const buttons = this._buttons();
    if (buttons.length === 0) return;
    const at = buttons.indexOf(document.activeElement);
    const remembered = Math.max(0, buttons.indexOf(this._views.get(this._current)?.button));
    const next = at === -1 ? remembered : Math.min(buttons.length - 1, Math.max(0, at + by));
    this._activeAt = performance.now();
    buttons[next].focus();
    buttons[next].scrollIntoView({ block: "nearest" });
  }

  /** Give the focus back to a viewer's row, where it still is. */
  focus(viewer) {
    (this._views.get(viewer)?.button ?? this._buttons()[0])?.focus();
  }

  _place(rows, context) {
    const order = GRADES.map((grade) => rows.filter((row) => row.grade === grade).map((row) => row.viewer));
    const key = JSON.stringify(order);
    const now = performance.now();
    clearTimeout(this._timer);
    if (key === this._order) {
      this._jump = false;
      show(this.held, false);
      return;
    }
    const wait = this._movedAt + MOVE_EVERY_MS - now;
    const free = this._jump || this._views.size === 0; // nothing stands there that could jump away
    if (!free && this._isHeld(now)) {
      this._renderHeld(context.language, rows);
    } else if (!free && wait > 0) {
      show(this.held, false);
      this._timer = setTimeout(this._onDue, wait);
    } else {
      this._move(order, context);
      this._order = key;
      this._movedAt = now;
      this._jump = false;
      show(this.held, false);
    }
  }

  _move(order, context) {
    const focused = document.activeElement;
    const focusedAt = this._buttons().indexOf(focused);
    const staying = new Set(order.flat());
    for (const [viewer, view] of this._views) {
      if (staying.has(viewer)) continue;
      view.element.remove();
      this._views.delete(viewer);
    }
    GRADES.forEach((grade, index) => this._fill(this._sections.get(grade).rows, order[index], context));
    if (focusedAt === -1 || focused === document.activeElement) return;
    const target = focused.isConnected ? focused : this._buttons().at(focusedAt) ?? this._buttons().at(-1);
    target?.focus({ preventScroll: true });
  }

  _fill(parent, viewers, context) {
    let next = parent.firstElementChild;
    for (const viewer of viewers) {
      const view = this._views.get(viewer) ?? this._add(viewer, context);
      if (view.element === next) next = next.nextElementSibling;
      else moveBefore(parent, view.element, next);
    }
  }

  _add(viewer, context) {
    const view = new RowView(() => this._onOpen(viewer));
    view.render(context.room.rows.get(viewer), context);
    if (!this._jump) setAttribute(view.element, "data-new", true); // fades in; the first list is simply there
    this._views.set(viewer, view);
    return view;
  }

  _renderHeld(language, rows) {
    const fresh = rows.filter((row) => !this._views.has(row.viewer)).length;
    setText(this.held, fresh > 0 ? language.say("list.heldNew", { n: fresh }) : language.say("list.heldMoved"));
    show(this.held, true);
  }

  _renderMore(language, all, shown) {
    show(this.more, all > shown || this._extra > 0);
    setText(this.more, all > shown ? language.say("list.more", { n: all - shown }) : language.say("list.fewer"));
    setAttribute(this.more, "aria-expanded", String(this._extra > 0));
    this._allShown = all <= shown;
  }

  _showMore() {
    this._extra = this._allShown ? 0 : this._extra + MORE_STEP;
    this._jump = true;
    this._onDue();
  }

  _isHeld(now) {
    const inside = this._pointerInside || this.element.contains(document.activeElement);
    return inside && now - this._activeAt < HELD_FOR_MS;
  }

  _watch() {
    const active = () => {
      this._activeAt = performance.now();
    };
    this.element.addEventListener("pointerenter", () => {
      this._pointerInside = true;
      active();
    });
    this.element.addEventListener("pointerleave", () => {
      this._pointerInside = false;
      this._onDue();
    });
    for (const type of ["pointermove", "pointerdown", "wheel", "keydown"]) {
      this.element.addEventListener(type, active, { passive: true });
    }
    this.element.addEventListener("focusin", (event) => {
      if (event.relatedTarget === null || !this.element.contains(event.relatedTarget)) active();
      for (const [viewer, view] of this._views) if (view.button === event.target) this._current = viewer;
      this._setCurrent();
    });
    this.element.addEventListener("focusout", () => this._onDue());
  }

  _buttons() {
    return [...this.element.querySelectorAll("button.row")];
  }

  // One row only is in the Tab order; the arrows reach the others.
  _setCurrent() {
    if (!this._views.has(this._current)) this._current = null;
    const first = this._buttons()[0];
    for (const [viewer, view] of this._views) {
      const reached = this._current === null ? view.button === first : viewer === this._current;
      setAttribute(view.button, "tabindex", reached ? "0" : "-1");
    }
  }
}

// moveBefore keeps focus and animations of what it moves; browsers without it get the older way.
function moveBefore(parent, node, next) {
  if (node.isConnected && typeof parent.moveBefore === "function") parent.moveBefore(node, next);
  else parent.insertBefore(node, next);
}

class Section {
  constructor(grade) {
    this.word = el("span", {});
    this.count = el("span", { class: "section-count tabular" });
    this.none = el("p", { class: "none", hidden: true });
    this.rows = el("ol", { class: "rows", role: "list" });
    this.heading = el("h2", { class: "section-title", id: `grade-${grade}` }, icon(grade), this.word, this.count);
    this.element = el("section", { class: "section", "data-grade": grade, "aria-labelledby": `grade-${grade}` }, this.heading, this.none, this.rows);
  }

  render(grade, { room, language, options, query }) {
    const filled = this.rows.childElementCount > 0;
    setText(this.word, language.say(`grade.${grade}`));
    setText(this.count, language.number(room.count(grade)));
    // That nobody is hot is itself worth a glance; an empty "cold" is not.
    const wanted = GRADES.indexOf(grade) <= GRADES.indexOf(options.minGrade) && grade !== "cold" && query === "";
    show(this.element, filled || wanted);
    show(this.none, !filled && room.count(grade) === 0);
    if (!this.none.hidden && grade !== "cold") setText(this.none, language.say(grade === "hot" ? "list.noHot" : "list.noWarm"));
  }
}

class RowView {
  constructor(onOpen) {
    this.picture = el("span", { class: "grade-icon" });
    this.word = el("span", { class: "grade-word" });
    this.name = el("bdi", { class: "name-text" });
    this.fan = el("span", { class: "fan", hidden: true });
    this.points = el("span", { class: "points-value tabular" });
    this.unit = el("span", { class: "points-unit" });
    this.ring = ring();
    this.percent = el("span", { class: "percent tabular", "aria-hidden": "true" });
    this.interval = el("span", { class: "interval tabular", "aria-hidden": "true" });
    this.unknown = el("span", { class: "unknown", "aria-hidden": "true" });
    this.chanceWords = el("span", { class: "only-read" });
    this.chance = el("span", { class: "chance", hidden: true }, this.ring, this.percent, this.interval, this.unknown, this.chanceWords);
    this.why = el("span", { class: "why" });
    this.causes = el("span", { class: "causes", hidden: true });
    this.words = el("span", { class: "words" });
    this.age = el("span", { class: "age tabular" });
    this.button = el(
      "button",
      { type: "button", class: "row", tabindex: "-1", "aria-haspopup": "dialog", on: { click: onOpen } },
      el("span", { class: "grade" }, this.picture, this.word),
      el(
        "span",
        { class: "top" },
        el("span", { class: "name" }, this.name, this.fan),
        el("span", { class: "score" }, el("span", { class: "points" }, this.points, this.unit), this.chance),
      ),
      el("span", { class: "under" }, this.why, this.causes, this.words, this.age),
    );
    this.element = el("li", { class: "row-item" }, this.button);
    this.element.addEventListener("animationend", () => setAttribute(this.element, "data-new", null)); // moving restarts it
    this._grade = null;
    this._why = null;
  }

  /** Show `row` as it is now; null: the viewer has left the list, which is held still. */
  render(row, { room, language, options }) {
    setAttribute(this.button, "data-gone", row === null);
    if (row === null) {
      setText(this.age, language.say("list.gone"));
      return;
    }
    this._renderGrade(row.grade, language);
    const name = shownName(row.name, options.mask) || language.say("list.unnamed");
    setText(this.name, name);
    setAttribute(this.name, "title", name);
    show(this.fan, row.fan);
    setText(this.fan, language.say("list.fan"));
    this._renderNumber(language.number(row.points));
    setText(this.unit, language.say("list.points"));
    this._renderChance(row, room, language);
    this._renderWhy(chips(language, row.reasons), isKnown(row, room) ? causes(language, row.reasons) : [], language);
    const words = row.words === null ? "" : clean(row.words);
    setText(this.words, words === "" ? "" : language.say("list.quote", { text: words }));
    setText(this.age, row.last_at > 0 && room.now() !== null ? age(language, room.now() - row.last_at) : "");
  }

  _renderGrade(grade, language) {
    setText(this.word, language.say(`grade.${grade}`));
    if (grade === this._grade) return;
    this._grade = grade;
    setAttribute(this.button, "data-grade", grade);
    this.picture.replaceChildren(icon(grade));
  }

  _renderNumber(text) {
    const changed = this.points.textContent !== "" && this.points.textContent !== text;
    setText(this.points, text);
    if (!changed) return;
    // The same animation starts again only on another name: two that are equal take turns.
    setAttribute(this.points, "data-tick", this.points.getAttribute("data-tick") === "a" ? "b" : "a");
  }

  _renderChance(row, room, language) {
    show(this.chance, room.model.enabled);
    renderChance(this, row, room, language);
    setText(this.chanceWords, chanceWords(row, room, language));
  }

  _renderWhy(texts, moving, language) {
    const key = JSON.stringify([language.code, texts, moving]);
    if (key === this._why) return;
    this._why = key;
    this.why.replaceChildren(...texts.map((text) => el("span", { class: "chip" }, text)));
    show(this.causes, moving.length > 0);
    this.causes.replaceChildren(
      el("span", { class: "only-read" }, language.say("list.causes")),
      ...moving.map(({ text, number, up }) =>
        el("span", { class: "cause" }, el("span", { class: "cause-text" }, text), " ", el("span", { class: "cause-number tabular", "data-sign": up ? "up" : "down" }, number)),
      ),
    );
  }
}

/** Return whether there is a probability to show: one is not believed before the model is ready. */
export function isKnown(row, room) {
  return room.modelReady && row.probability !== null;
}

/** Fill {chance, ring, percent, interval, unknown} with a row's probability, or with the words that there is none. */
export function renderChance({ chance, ring: shape, percent: number, interval, unknown }, row, room, language) {
  const known = isKnown(row, room);
  setAttribute(chance, "data-unknown", !known);
  setRing(shape, known ? row.probability : 0);
  setText(number, known ? percent(row.probability) : "");
  setText(interval, known && row.interval !== null ? between(row.interval) : "");
  setText(unknown, known ? "" : language.say("list.notEnough"));
  setAttribute(chance, "title", chanceWords(row, room, language));
}

/** Return a probability, or that there is none, as one phrase. */
function chanceWords(row, room, language) {
  if (!isKnown(row, room)) return language.say("list.noProbability");
  const values = { percent: percent(row.probability), between: row.interval === null ? "" : between(row.interval) };
  return language.say(row.interval === null ? "list.probability" : "list.probabilityBetween", values);
}
