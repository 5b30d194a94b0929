// What viewers call themselves is the least trusted text there is: it is shown as text only, on one line, in its own
// direction, with nothing invisible in it, and never with a number in it that could be a telephone's.

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

// Controls, bidirectional overrides, zero-width and blank "letters" (Hangul fillers, Braille blank), tags,
// non-characters and private use. U+200D and the variation selectors are kept: emoji are made with them.
const INVISIBLE =
  /[\p{Cc}\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B\u200C\u200E\u200F\u202A-\u202E\u2060-\u206F\u2800\u3164\uFEFF\uFFA0\uFFF0-\uFFFB\p{Co}\p{Cs}\u{E0000}-\u{E0FFF}]/gu;
const STRAY_JOINER = /(?<!\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0F]?)\u200D|\u200D(?!\p{Extended_Pictographic})/gu;
const PILED_MARKS = /(\p{M}{3})\p{M}+/gu; // no script needs more than three; zalgo does

// Seven or more digits, in any script's digits or circled ones, also when spaced or dashed apart.
const DIGIT = "[\\p{Nd}\\u2070-\\u2079\\u2080-\\u2089\\u2460-\\u2468\\u24EA\\u2776-\\u277E]";
const LONG_NUMBER = new RegExp(`${DIGIT}(?:[\\s.·・_—–\\uFE0F\\u20E3-]{0,3}${DIGIT}){6,}`, "gu");

const OUR_LEAD = /^L[0-9a-f]{20}$/;

const LONGEST = 200; // characters put into the page; CSS cuts what does not fit, this bounds the work

/** Return a viewer's words or name on one line, without what cannot be seen, numbers of 7 digits or more hidden. */
export function clean(text) {
  return shorten(hideNumbers(visible(text)));
}

/** Return what the operator wrote in the configuration, fit to be shown; its numbers are dates and prices, and stay. */
export function ours(text) {
  return shorten(visible(text));
}

/** Return a lead's id. Ours is a hash, in which seven digits in a row are common and no number that can be called. */
export function leadName(lead) {
  return OUR_LEAD.test(lead) ? lead : clean(lead);
}

function visible(text) {
  if (typeof text !== "string") return "";
  return text
    .slice(0, 4 * LONGEST)
    .replace(/[\t\n\v\f\r\u0085\u2028\u2029]/g, " ")
    .replace(INVISIBLE, "")
    .replace(STRAY_JOINER, "")
    .replace(PILED_MARKS, "$1")
    .replace(/\s+/g, " ")
    .trim();
}

/** Return a name fit to be shown; with `mask`, only its first and last character. Empty if nothing visible is in it. */
export function shownName(name, mask) {
  const visible = clean(name);
  return mask ? masked(visible) : visible;
}

export function masked(name) {
  const parts = [...graphemes.segment(name)].map((part) => part.segment);
  if (parts.length === 0) return "";
  if (parts.length === 1) return "*";
  // Always two stars for the middle: how long a name is would tell something of it.
  return parts.length === 2 ? `${parts[0]}*` : `${parts[0]}**${parts.at(-1)}`;
}

export function hideNumbers(text) {
  return text.replace(LONG_NUMBER, (run) => {
    const digits = [...run];
    return `${digits.slice(0, 2).join("")}****${digits.slice(-2).join("")}`;
  });
}

function shorten(text) {
  if (text.length <= LONGEST) return text;
  let result = "";
  for (const { segment } of graphemes.segment(text)) {
    if (result.length + segment.length > LONGEST - 1) break;
    result += segment;
  }
  return `${result}…`;
}
