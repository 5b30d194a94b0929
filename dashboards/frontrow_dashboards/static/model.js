// The model's page: asks the daemon what it says of its model, again once in half a minute, and shows it.

import { Language } from "./i18n/index.js";
import { Page } from "./model/page.js";
import { defaultTheme, oneOf } from "./host/options.js";

const EVERY_MS = 30_000; // the daemon judges once a minute
const ANSWER_WITHIN_MS = 10_000;

const [, prefix] = /^(.*)\/model\/?$/.exec(window.location.pathname) ?? ["", ""];
const query = new URLSearchParams(window.location.search);
const read = (key, values) => oneOf(values)(query.get(key) ?? "");

async function ask() {
  const headers = { authorization: `Bearer ${query.get("token") ?? ""}` };
  try {
    const response = await fetch(`${prefix}/api/v1/model`, { headers, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (response.status === 401 || response.status === 403) return { kind: "forbidden" };
    return response.ok ? { kind: "told", told: await response.json(), at: Date.now() } : { kind: "broken" };
  } catch {
    return { kind: "broken" };
  }
}

document.documentElement.dataset.theme = read("theme", ["light", "dark"]) ?? defaultTheme(window);
const page = new Page(document.getElementById("model"), new Language(read("lang", ["zh-CN", "en"]) ?? "zh-CN"), () => refresh());

async function refresh() {
  page.take(await ask());
}

setInterval(() => {
  if (document.visibilityState === "visible") refresh();
}, EVERY_MS);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refresh();
});
refresh();
