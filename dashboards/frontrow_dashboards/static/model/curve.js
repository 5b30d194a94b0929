// The reliability curve as a small picture: how often it happened, with its interval, over what was promised.

import { setAttribute, svg } from "../host/dom.js";

const SIZE = 260;
const EDGE = { left: 44, right: 12, top: 24, bottom: 36 };
const TICKS = [0.001, 0.01, 0.1, 0.5, 0.9];
const LEAST = 0.0005; // what is drawn of 0: the scale is of logits, since nearly all promises are small

/** Return the picture of `bins` ({mean_p, share, low, high}), or null where there is nothing to draw. */
export function curve(language, bins) {
  if (bins.length === 0) return null;
  const ends = bins.flatMap(({ mean_p, low, high }) => [mean_p, low, high]).map(logit);
  const least = Math.min(...ends, logit(0.01));
  const most = Math.max(...ends, logit(0.1));
  const across = (p) => EDGE.left + ((logit(p) - least) / (most - least)) * (SIZE - EDGE.left - EDGE.right);
  const up = (p) => SIZE - EDGE.bottom - ((logit(p) - least) / (most - least)) * (SIZE - EDGE.top - EDGE.bottom);
  const ticks = TICKS.filter((p) => logit(p) >= least && logit(p) <= most);
  const low = sigmoid(least);
  const high = sigmoid(most);
  const line = (name, from, to) => svg("line", { class: name, x1: from[0], y1: from[1], x2: to[0], y2: to[1] });
  const text = (name, at, words) => svg("text", { class: name, x: at[0], y: at[1] }, words);
  const shape = svg(
    "svg",
    { class: "curve", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img" },
    ...ticks.flatMap((p) => [
      line("curve-grid", [across(p), up(low)], [across(p), up(high)]),
      line("curve-grid", [across(low), up(p)], [across(high), up(p)]),
      text("curve-tick curve-tick-x", [across(p), up(low) + 14], shown(language, p)),
      text("curve-tick curve-tick-y", [across(low) - 6, up(p) + 3.5], shown(language, p)),
    ]),
    line("curve-even", [across(low), up(low)], [across(high), up(high)]),
    ...bins.map((bin) => line("curve-interval", [across(bin.mean_p), up(bin.low)], [across(bin.mean_p), up(bin.high)])),
    ...bins.map((bin) => svg("circle", { class: "curve-point", cx: across(bin.mean_p), cy: up(bin.share), r: 3 })),
    text("curve-tick", [4, 10], language.say("modelPage.came")),
    text("curve-label", [(across(low) + across(high)) / 2, SIZE - 4], language.say("modelPage.promised")),
  );
  setAttribute(shape, "aria-label", language.say("modelPage.curveLabel", { n: bins.length }));
  return shape;
}

function logit(p) {
  const within = Math.min(1 - LEAST, Math.max(LEAST, p));
  return Math.log(within / (1 - within));
}

function sigmoid(z) {
  return 1 / (1 + Math.exp(-z));
}

function shown(language, p) {
  return new Intl.NumberFormat(language.code, { style: "percent", maximumFractionDigits: 1 }).format(p);
}
