// Elements of the page, and the curve of the estimate.
// Names come from untrusted files: they are only ever set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const find = (id) => document.getElementById(id);

/** Return an element with properties, attributes (`aria-…`, `data-…`, `role`) and children. */
export function made(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat());
  return element;
}

/** Return an SVG element. */
export function drawn(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return a button with its key printed on it. */
export function button(text, key, onclick, className = "button") {
  const printed = key ? [" ", made("kbd", {}, key)] : [];
  return made("button", { type: "button", className, onclick }, text, ...printed);
}

export const picture = (photo, alt = "") => made("img", { src: `thumb/${photo}`, alt, draggable: false });

export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

export const percent = (value) => Math.round(value);

/** Return the sentence part on ten more answers: "about 4 points", or null if nothing is known. */
export function tenMore({ tenMore: more }) {
  if (!more) return null;
  const points = Math.round(more.points);
  if (points < 1) return more.atLeast ? null : "less than a point";
  return `${more.atLeast ? "at least" : "about"} ${counted(points, "point")}`;
}

// The curve of the estimate: one line with its interval, and a dotted line for ten more answers.

const FURTHER = 10; // answers that the dotted line looks ahead

function band(history, x, y) {
  const upper = history.map((entry) => `${x(entry.answers)},${y(entry.high)}`);
  const lower = history.map((entry) => `${x(entry.answers)},${y(entry.low)}`).reverse();
  return [...upper, ...lower].join(" ");
}

function scale(width, height, x, history) {
  const last = history[history.length - 1];
  const lines = [0, 25, 50, 75, 100].flatMap((share) => {
    const y = height - share / 100 * height;
    return [drawn("line", { class: "base", x1: 0, x2: width, y1: y, y2: y }), drawn("text", { x: width + 6, y: y + 4 }, `${share} %`)];
  });
  return [...lines, drawn("text", { x: 0, y: height + 16 }, "0 answers"),
    drawn("text", { x: x(last.answers), y: height + 16, "text-anchor": "middle" }, last.answers)];
}

/** Return the history of the estimate as an SVG; `large` draws its scale. */
export function curve(state, width, height, large = false) {
  const { history, tenMore: more, zeroShot } = state;
  const last = history[history.length - 1];
  const x = (answers) => answers / Math.max(40, last.answers + FURTHER) * width;
  const y = (value) => height - value / 100 * height;
  const image = drawn("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (large) image.append(...scale(width, height, x, history));
  else image.append(drawn("line", { class: "base", x1: 0, x2: width, y1: height, y2: height }));
  if (zeroShot !== null) image.append(drawn("line", { class: "zero-shot", x1: 0, x2: width, y1: y(zeroShot), y2: y(zeroShot) }));
  image.append(drawn("polygon", { class: "band", points: band(history, x, y) }));
  if (more) {
    const end = { cx: x(last.answers + FURTHER), cy: y(Math.min(100, last.value + more.points)) };
    image.append(drawn("line", { class: "ahead", x1: x(last.answers), y1: y(last.value), x2: end.cx, y2: end.cy }));
    image.append(drawn("circle", { class: "goal", ...end, r: 3 }));
  }
  image.append(drawn("polyline", { class: "line", points: history.map((entry) => `${x(entry.answers)},${y(entry.value)}`).join(" ") }));
  image.append(drawn("circle", { class: "now", cx: x(last.answers), cy: y(last.value), r: 4.5 }));
  return image;
}
