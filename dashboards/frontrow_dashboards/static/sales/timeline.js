// What happened to a lead, in words; every kind of entry that the lead centre writes. Pure.

import { clean } from "../host/names.js";
import { dayAndTime } from "./cards.js";

/** Return {text, note, who, time} of an entry. */
export function entryWords(language, entry, trade) {
  const words = KINDS[entry.kind];
  const data = typeof entry.data === "object" && entry.data !== null ? entry.data : {};
  const say = (key, values) => language.say(`sales.entry.${key}`, values);
  const known = typeof words === "function" ? words(say, data, { entry, trade, language }) : null;
  return {
    text: known ?? (language.find(`sales.entry.${entry.kind}`) === null ? say("other", { kind: clean(entry.kind) }) : say(entry.kind)),
    note: entry.note === null ? "" : clean(entry.note),
    who: whoWords(language, entry),
    time: dayAndTime(language, entry.at),
  };
}

const KINDS = {
  made: (say, data, { language }) => say("made", { grade: gradeName(language, data.grade), points: data.points ?? 0 }),
  met: (say, data, { language }) => say("met", { how: named(language, "met", data.met) }),
  assigned: assignedWords,
  waiting: assignedWords,
  lead_assign: assignedWords,
  lead_transfer: (say, _, { entry }) => say("lead_transfer", { name: entry.seller_name ?? "?" }),
  lead_touch: touchWords,
  lead_outcome: (say, data, { trade, language }) => {
    const outcome = tradeName(language, trade?.outcomes, data.outcome);
    const reason = reasonName(language, trade, data.reason);
    return followed(say, language, data, say(reason === null ? "lead_outcome" : "outcomeBecause", { outcome, reason }));
  },
  lead_stage: (say, data, { trade, language }) => followed(say, language, data, say("lead_stage", { stage: stageName(language, trade, data.stage) })),
  lead_review: (say, data) => say(data.decision === "reopen" ? "reviewReopen" : "reviewAccept"),
  lead_approve: (say, data) => say(data.decision === "reject" ? "approveReject" : "approveApprove"),
  nudge: (say, data) => say("nudge", { n: data.number ?? 1 }),
  breach: (say, data, { language }) => say("breach", { cause: named(language, "cause", data.cause) }),
  order_paid: (say, data, { language }) => (Number.isFinite(data.value) ? say("orderOf", { sum: money(language, data.value) }) : say("order_paid")),
  order_refunded: (say, data, { language }) => (Number.isFinite(data.value) ? say("refundOf", { sum: money(language, Math.abs(data.value)) }) : say("order_refunded")),
  suspected: (say, data, { language }) => (language.find(`sales.sign.${data.sign}`) === null ? say("suspected", { sign: clean(data.sign ?? "") }) : language.say(`sales.sign.${data.sign}`, data)),
  cleaning: (say, data, { language }) => say("cleaning", { reason: named(language, "cleaningReason", data.reason) }),
  clean_result: (say, data, { language }) => say("clean_result", { intent: named(language, "intentOf", data.intent ?? "unknown") }),
  consent: (say, data, { language }) => say(data.given === true ? "consentGiven" : "consentTaken", { purpose: named(language, "consentTo", data.purpose) }),
  contact: (say, data) => say(data.decision === "permit" ? "contactPermit" : "contactForbid"),
  contact_reveal: (say, data, { language }) => say("contact_reveal", { purpose: named(language, "purpose", data.purpose) }),
};

function assignedWords(say, data, { entry }) {
  if (entry.seller_name !== null && entry.seller_name !== undefined) return say("assignedTo", { name: entry.seller_name });
  if (typeof data.pool === "string") return say("assignedPool", { pool: clean(data.pool) });
  return say("assignedTeam", { team: clean(data.team ?? "") });
}

function touchWords(say, data, { language }) {
  const channel = named(language, "channel", data.channel ?? "call");
  const text = say(data.direction === "in" ? "touchIn" : "touchOut", { channel });
  const answered = data.answered === false ? say("notAnswered") : null;
  return followed(say, language, data, answered === null ? text : `${text} · ${answered}`);
}

function followed(say, language, data, text) {
  return Number.isFinite(data.follow_up_at) ? `${text} · ${say("followUp", { time: dayAndTime(language, data.follow_up_at) })}` : text;
}

function whoWords(language, { actor, actor_name: name }) {
  if (actor === "clock" || actor === "order") return language.say(`sales.actor.${actor}`);
  if (actor.startsWith("rule:")) return language.say("sales.actor.rule", { name: clean(actor.slice(5)) });
  if (actor.startsWith("token ")) return language.say("sales.actor.token");
  return clean(name ?? actor);
}

function gradeName(language, grade) {
  return language.find(`grade.${grade}`) === null ? "" : language.say(`grade.${grade}`);
}

// A code of ours that the catalogue knows, or as it is: a pack or a later version may have more.
function named(language, group, code) {
  if (typeof code !== "string") return "";
  return typeof language.find(`sales.${group}.${code}`) === "string" ? language.say(`sales.${group}.${code}`) : clean(code);
}

function tradeName(language, list, code) {
  const found = (list ?? []).find((each) => each.code === code);
  return found === undefined ? clean(code ?? "") : tradeWord(language, found);
}

/** Return what one of the trade's outcomes, reasons or stages is called; packs write English without capitals. */
export function tradeWord(language, { zh, en }) {
  const text = clean(language.code === "en" ? en : zh);
  return language.code === "en" ? `${text.slice(0, 1).toUpperCase()}${text.slice(1)}` : text;
}

export function reasonName(language, trade, code) {
  if (typeof code !== "string") return null;
  return tradeName(language, [...(trade?.loss_reasons ?? []), ...(trade?.invalid_reasons ?? [])], code);
}

export function stageName(language, trade, code) {
  if (typeof language.find(`sales.status.${code}`) === "string") return language.say(`sales.status.${code}`);
  return tradeName(language, trade?.stages, code);
}

export function outcomeName(language, trade, code) {
  return tradeName(language, trade?.outcomes, code);
}

function money(language, minor) {
  return new Intl.NumberFormat(language.code, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(minor / 100);
}
