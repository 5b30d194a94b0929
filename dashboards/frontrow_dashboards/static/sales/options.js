// The address as options, and the token: /sales?token=…&lang=…&theme=…#<lead>. A link in a message to a seller has no
// token (it would stand in the chat for ever), so the token of the first link is kept on this device, and leaves the address.

import { oneOf } from "../host/options.js";

const KEPT = "frontrow.sales.token";

/** Return {prefix, token, lang, theme}; a token that was given is kept, one that is kept is used where none is given. */
export function readOptions(window) {
  const [, prefix] = /^(.*)\/sales\/?$/.exec(window.location.pathname) ?? ["", ""];
  const query = new URLSearchParams(window.location.search);
  const read = (key, values) => oneOf(values)(query.get(key) ?? "") ?? null;
  const given = query.get("token");
  const token = given ?? recall(window);
  if (given !== null && keep(window, given)) {
    query.delete("token");
    const rest = query.size === 0 ? "" : `?${query}`;
    window.history.replaceState(null, "", `${window.location.pathname}${rest}${window.location.hash}`);
  }
  return { prefix, token: token ?? "", lang: read("lang", ["zh-CN", "en"]) ?? "zh-CN", theme: read("theme", ["light", "dark"]) };
}

/** Forget the token on this device. */
export function signOut(window) {
  try {
    window.localStorage.removeItem(KEPT);
  } catch {
    // nothing was kept
  }
  window.location.replace(window.location.pathname);
}

function recall(window) {
  try {
    return window.localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(window, token) {
  try {
    window.localStorage.setItem(KEPT, token);
    return window.localStorage.getItem(KEPT) === token;
  } catch {
    return false; // a browser that keeps nothing: the token stays in the address
  }
}
