// Building and changing the page. Text goes in as text nodes only; there is no way here to put in HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return a new element. `props` are attributes, but for `on`: {event: handler}. Children: nodes, text, or null. */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "on") for (const [type, handler] of Object.entries(value)) element.addEventListener(type, handler);
    else setAttribute(element, key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set an element's text if it differs: an unchanged node is not laid out, nor read out, again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set, or with null, false or undefined remove, an attribute, if that changes anything. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Return a new SVG element; children are elements or text. */
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const LINE = { fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-linecap": "round", "stroke-linejoin": "round" };

// Drawn on a 16 × 16 grid. The grades' shapes differ in outline, not only in fill: a flame, a half-full disc, a ring.
const ICONS = {
  hot: [["path", { d: "M8.6 1.2c.5 2.3-.6 3.5-1.8 4.8-1.2 1.3-2.5 2.6-2.5 4.7a4.2 4.2 0 0 0 8.4 0c0-1.7-.7-2.9-1.5-3.9-.2 1-.6 1.7-1.4 2.1.4-2.8.1-5.9-1.2-7.7Z", fill: "currentColor" }]],
  warm: [
    ["circle", { cx: "8", cy: "8", r: "5.5", ...LINE, "stroke-width": "2" }],
    ["path", { d: "M8 2.5a5.5 5.5 0 0 1 0 11Z", fill: "currentColor" }],
  ],
  cold: [["circle", { cx: "8", cy: "8", r: "5.5", ...LINE, "stroke-width": "2" }]],
  search: [["circle", { cx: "7", cy: "7", r: "4.5", ...LINE }], ["path", { d: "m10.5 10.5 3.5 3.5", ...LINE }]],
  help: [
    ["circle", { cx: "8", cy: "8", r: "6.25", ...LINE }],
    ["path", { d: "M6.2 6.3a1.8 1.8 0 1 1 2.6 1.7c-.5.2-.8.6-.8 1.1v.2", ...LINE }],
    ["circle", { cx: "8", cy: "11.3", r: ".9", fill: "currentColor" }],
  ],
  close: [["path", { d: "m4 4 8 8m0-8-8 8", ...LINE }]],
  chevron: [["path", { d: "m4.5 6.5 3.5 3.5 3.5-3.5", ...LINE }]],
  quiet: [["path", { d: "M2 8h2.5M6.75 8h2.5M11.5 8H14", ...LINE }]],
  warning: [
    ["path", { d: "M8 2.2 14.4 13.5H1.6Z", ...LINE }],
    ["path", { d: "M8 6.5v3", ...LINE }],
    ["circle", { cx: "8", cy: "11.5", r: ".8", fill: "currentColor" }],
  ],
  broken: [["path", { d: "M6 10 3.9 12.1a2.3 2.3 0 0 1-3.2-3.2L3.5 6a2.3 2.3 0 0 1 2.6-.4M10 6l2.1-2.1a2.3 2.3 0 0 1 3.2 3.2L12.5 10a2.3 2.3 0 0 1-2.6.4M8 2v1.6M8 12.4V14", ...LINE }]],
  locked: [
    ["rect", { x: "3", y: "7", width: "10", height: "6.5", rx: "1.5", ...LINE }],
    ["path", { d: "M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2", ...LINE }],
  ],
  door: [["path", { d: "M4 13.5v-11h8v11M2.5 13.5h11", ...LINE }], ["circle", { cx: "9.8", cy: "8", r: ".8", fill: "currentColor" }]],
  viewer: [["circle", { cx: "8", cy: "5.2", r: "2.7", ...LINE }], ["path", { d: "M2.8 13.8c.4-3 2.4-4.6 5.2-4.6s4.8 1.6 5.2 4.6", ...LINE }]],
  live: [
    ["circle", { cx: "8", cy: "8", r: "1.6", fill: "currentColor" }],
    ["path", { d: "M5 11a4.2 4.2 0 0 1 0-6M11 5a4.2 4.2 0 0 1 0 6M2.9 13.1a7.2 7.2 0 0 1 0-10.2M13.1 2.9a7.2 7.2 0 0 1 0 10.2", ...LINE }],
  ],
  check: [["path", { d: "m3 8.5 3.2 3.2L13 5", ...LINE }]],
  sound: [["path", { d: "M2.5 6.2v3.6H5l3.2 2.7v-9L5 6.2ZM10.6 5.8a3.2 3.2 0 0 1 0 4.4M12.6 4a5.8 5.8 0 0 1 0 8", ...LINE }]],
  mute: [["path", { d: "M2.5 6.2v3.6H5l3.2 2.7v-9L5 6.2ZM10.8 6.2l3.4 3.6m0-3.6-3.4 3.6", ...LINE }]],
};

/** Return a small picture that says nothing to a screen reader; the words beside it do. */
export function icon(name, className = "icon") {
  const shapes = ICONS[name].map(([tag, attributes]) => svg(tag, attributes));
  return svg("svg", { class: className, viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, ...shapes);
}

const RING_RADIUS = 6.5;
const RING_LENGTH = 2 * Math.PI * RING_RADIUS;

/** Return a ring that `setRing` fills. */
export function ring() {
  const shape = { cx: "8", cy: "8", r: String(RING_RADIUS), fill: "none", "stroke-width": "3" };
  return svg(
    "svg",
    { class: "ring", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("circle", { ...shape, class: "ring-track" }),
    svg("circle", { ...shape, class: "ring-part", transform: "rotate(-90 8 8)", "stroke-dasharray": `0 ${RING_LENGTH}` }),
  );
}

export function setRing(element, share) {
  const length = (Math.min(1, Math.max(0, share)) * RING_LENGTH).toFixed(2);
  setAttribute(element.lastElementChild, "stroke-dasharray", `${length} ${RING_LENGTH.toFixed(2)}`);
}
