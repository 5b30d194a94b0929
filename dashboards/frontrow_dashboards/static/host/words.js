// Numbers and reasons as words, in a given Language. Pure: no page, no clock.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const OTHERS = "others"; // what the daemon does not tell by name, as one sum
export const START = "start"; // the part of the logit that is no viewer's: where everybody in the room begins

const MOST_CHIPS = 3; // what an eye takes in at a glance
const MOST_CAUSES = 2;
const LEAST_CAUSE = 0.05; // what would be shown as 0.0 says nothing
const LONGEST_NAME = 40; // of a rule or feature that the catalogue does not know

/** Return how long ago, coarse enough not to flicker: tens of seconds, minutes, hours. */
export function age(language, ms) {
  if (ms < 10 * SECOND) return language.say("age.now"); // also for a time that lies ahead: clocks differ
  if (ms < MINUTE) return language.say("age.seconds", { n: Math.floor(ms / (10 * SECOND)) * 10 });
  if (ms < HOUR) return language.say("age.minutes", { n: Math.floor(ms / MINUTE) });
  if (ms < DAY) return language.say("age.hours", { n: Math.floor(ms / HOUR) });
  return language.say("age.days", { n: Math.floor(ms / DAY) });
}

/** Return a duration of a clock, 01:12:40. */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / SECOND));
  const parts = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, "0")).join(":");
}

export function span(language, seconds) {
  if (seconds < 60) return language.say("span.seconds", { n: Math.round(seconds) });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return language.say("span.minutes", { n: minutes });
  return language.say("span.hours", { n: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** Return a probability as a whole percentage that never claims certainty. */
export function percent(probability) {
  if (probability < 0.01) return "<1%";
  if (probability > 0.99) return ">99%";
  return `${Math.round(probability * 100)}%`;
}

/** Return between what a probability lies, as whole percentages: 27–49%, or what it is at most or at least. */
export function between([low, high]) {
  if (low < 0.01) return high < 0.01 ? percent(high) : `≤${percent(high)}`;
  if (high > 0.99) return low > 0.99 ? percent(low) : `≥${percent(low)}`;
  return percent(low) === percent(high) ? percent(high) : `${Math.round(low * 100)}–${percent(high)}`;
}

/** Return a number with its sign, a real minus. */
export function signed(language, value, digits) {
  const format = new Intl.NumberFormat(language.code, { signDisplay: "exceptZero", minimumFractionDigits: digits, maximumFractionDigits: digits });
  return format.format(value).replace("-", "−");
}

/** Return up to three chips' texts: rules by how much they give or take, one chip each, then further intents. */
export function chips(language, reasons) {
  const weight = (reason) => Math.abs(reason.points ?? 0);
  const rules = reasons.filter((reason) => reason.kind === "rule").sort((a, b) => weight(b) - weight(a));
  const first = rules.map((rule) => ruleTexts(language, rule)[0]);
  const further = rules.flatMap((rule) => ruleTexts(language, rule).slice(1));
  return [...first, ...further].slice(0, MOST_CHIPS);
}

/**
 * Return what the probability is made of, the largest first: [{name, logit, seen}]. Counts that fade at several speeds
 * are one part, since they tell of one thing; what is true of everybody in the room is the part called START. All parts
 * sum to the raw logit. OTHERS are what is too small to be told by name. `seen` is false for what did not happen, which is a reason, too.
 */
export function parts(reasons) {
  const found = new Map();
  for (const { kind, name, logit, value } of reasons) {
    if (kind !== "feature" || logit === null) continue;
    const part = partOf(name);
    const sum = found.get(part) ?? { name: part, logit: 0, seen: false };
    sum.logit += logit;
    sum.seen ||= value !== null && value >= 0.5;
    found.set(part, sum);
  }
  return [...found.values()].sort((a, b) => Math.abs(b.logit) - Math.abs(a.logit));
}

/** Return what a viewer did that moves the probability most, at most two: [{text, number, up}]. */
export function causes(language, reasons) {
  return parts(reasons)
    .filter(({ name, logit, seen }) => seen && name !== START && name !== OTHERS && Math.abs(logit) >= LEAST_CAUSE)
    .slice(0, MOST_CAUSES)
    .map(({ name, logit }) => ({ text: partName(language, name), number: signed(language, logit, 1), up: logit > 0 }));
}

export function partName(language, name) {
  return typeof language.find(`part.${name}`) === "string" ? language.say(`part.${name}`) : bounded(name);
}

const OF_ROOM = new Set(["product_age_min", "hour_left_pct"]);

// "clicks_30m" → "clicks"; of the room and what is shown in it: START.
function partOf(name) {
  if (name === "intercept" || name.startsWith("room_") || OF_ROOM.has(name)) return START;
  return name.replace(/_(?:\d+m|min)$/, "");
}

/** Return what a rule's reason says: one text, or one for each intent of a question. */
export function ruleTexts(language, rule) {
  if (rule.name === "question" && rule.by.length > 0) {
    return rule.by.map(([intent, count]) => times(language, intentName(language, intent), count));
  }
  if (rule.name === "watched" && rule.value !== null) {
    const key = rule.inferred ? "chip.watchedAbout" : "chip.watched";
    return [language.say(key, { span: tight(language, span(language, rule.value)) })];
  }
  if (rule.name === "same_words" && rule.count !== null) return [language.say("chip.same_words", { n: rule.count })];
  return [times(language, ruleName(language, rule.name), rule.count)];
}

export function ruleName(language, name) {
  const known = typeof language.find(`chip.${name}`) === "string" && !PATTERNS.has(name);
  return known ? language.say(`chip.${name}`) : bounded(name);
}

// Messages under `chip` that are no rule's name.
const PATTERNS = new Set(["times", "same_words", "watched", "watchedAbout"]);

function intentName(language, intent) {
  const known = intent !== "other" && typeof language.find(`intent.${intent}`) === "string";
  return known ? language.say(`intent.${intent}`) : language.say("intent.other", { name: bounded(intent) });
}

function times(language, text, count) {
  return count !== null && count > 1 ? language.say("chip.times", { text, n: count }) : text;
}

// Chinese sets a number close to its unit within a chip: 停留18分.
function tight(language, text) {
  return language.code === "zh-CN" ? text.replaceAll(" ", "") : text;
}

function bounded(name) {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
}
