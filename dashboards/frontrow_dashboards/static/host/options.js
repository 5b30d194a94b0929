// The page's address as typed options: /host/{room}?token=…&lang=…&theme=…&limit=…&scale=…&min_grade=…&mask=…
// A key or value that cannot be used is never ignored in silence: it becomes a problem that the page shows.

const LANGUAGES = ["zh-CN", "en"];
const THEMES = ["transparent", "dark", "light"];
export const GRADES = ["hot", "warm", "cold"];

const KEYS = {
  token: (text) => text,
  lang: oneOf(LANGUAGES),
  theme: oneOf(THEMES),
  limit: number(1, 100, Number.isInteger),
  scale: number(0.5, 3),
  min_grade: oneOf(GRADES),
  mask: oneOf(["0", "1"]),
};

/** Return {room, prefix, token, lang, theme, limit, scale, minGrade, mask, problems}. `theme` is null if not given. */
export function readOptions(location) {
  const [, prefix, room] = /^(.*)\/host\/([^/]*)\/?$/.exec(location.pathname) ?? ["", "", ""];
  const given = {};
  const problems = [];
  for (const [key, text] of new URLSearchParams(location.search)) {
    const read = Object.hasOwn(KEYS, key) ? KEYS[key] : null;
    if (read === null) {
      problems.push({ kind: "unknown_key", key, hint: nearest(key, Object.keys(KEYS)) });
    } else {
      const value = read(text);
      if (value === undefined) problems.push({ kind: "bad_value", key, value: text });
      else given[key] = value;
    }
  }
  return {
    room: decode(room),
    prefix,
    token: given.token ?? "",
    lang: given.lang ?? "zh-CN",
    theme: given.theme ?? null,
    limit: given.limit ?? 8,
    scale: given.scale ?? 1,
    minGrade: given.min_grade ?? "warm",
    mask: given.mask === "1",
    problems,
  };
}

/** Return the theme for a page whose address names none: clear inside OBS, else what the system prefers. */
export function defaultTheme(window) {
  if (window.obsstudio !== undefined || /\bOBS\//.test(window.navigator.userAgent)) return "transparent";
  return window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Return the closest of `words` to `word` if it is close enough to be a slip of the finger, else null. */
export function nearest(word, words) {
  const ranked = words.map((other) => [distance(word.toLowerCase(), other), other]).sort(([a], [b]) => a - b);
  const [best, other] = ranked[0];
  return best <= Math.max(1, Math.floor(other.length / 3)) ? other : null;
}

/** Return what reads one of `values`: the text, or undefined. */
export function oneOf(values) {
  return (text) => (values.includes(text) ? text : undefined);
}

function number(least, most, check = Number.isFinite) {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    return check(value) && value >= least && value <= most ? value : undefined;
  };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // a lone % is a name that no room has; the server will say so
  }
}

function distance(a, b) {
  if (a.length > 40) return Infinity; // keys are typed by people; longer ones are no slip
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
