// Elements of the page, and the curve of the estimate.
// Names come from untrusted files: they are only ever set as text, never as HTML.

export const find = (id) => document.getElementById(id);

/** Return an element with properties, attributes (`aria-…`, `role`) and children. */
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
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const picture = (photo) => made("img", { src: `thumb/${photo}`, alt: "", draggable: false, loading: "lazy" });

/** Show what belongs to a view or a question, and hide what belongs to others. */
export function showFor(name) {
  for (const element of document.querySelectorAll("[data-for]")) {
    element.hidden = !element.dataset.for.split(" ").includes(name);
  }
}

export const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** Return what ten more answers are expected to bring: "about 4 points", or null if that is not known. */
export function tenMore({ tenMore: more }) {
  const points = Math.round(more?.points ?? 0);
  if (!more || (points < 1 && more.atLeast)) return null;
  return points < 1 ? "less than a point" : `${more.atLeast ? "at least" : "about"} ${counted(points, "point")}`;
}

// The curve: the estimate with its interval, and a dotted line for ten more answers

function scale(width, height, answers, end) {
  const lines = [0, 25, 50, 75, 100].flatMap((share) => {
    const y = height - share / 100 * height;
    const line = drawn("line", { class: "base", x1: 0, x2: width, y1: y, y2: y });
    return [line, drawn("text", { x: width + 6, y: y + 4 }, `${share} %`)];
  });
  const below = { y: height + 16, "text-anchor": "middle" };
  return [...lines, drawn("text", { ...below, x: end }, counted(answers, "answer"))];
}

/** Return the history of the estimate as an SVG; `large` draws its scale. */
export function curve({ history, tenMore: more, zeroShot }, width, height, large = false) {
  const last = history[history.length - 1];
  const x = (answers) => answers / Math.max(40, last.answers + 10) * width;
  const y = (value) => height - value / 100 * height;
  const places = (entries, name) => entries.map((entry) => `${x(entry.answers)},${y(entry[name])}`).join(" ");
  const line = (name, x1, y1, x2, y2) => drawn("line", { class: name, x1, y1, x2, y2 });
  const goal = [x(last.answers + 10), y(Math.min(100, last.value + (more?.points ?? 0)))];
  return drawn("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    ...(large ? scale(width, height, last.answers, x(last.answers)) : [line("base", 0, height, width, height)]),
    ...(zeroShot === null ? [] : [line("zero-shot", 0, y(zeroShot), width, y(zeroShot))]),
    drawn("polygon", { class: "band", points: `${places(history, "high")} ${places([...history].reverse(), "low")}` }),
    ...(more ? [line("ahead", x(last.answers), y(last.value), ...goal)] : []),
    ...(more ? [drawn("circle", { class: "goal", cx: goal[0], cy: goal[1], r: 3 })] : []),
    drawn("polyline", { class: "course", points: places(history, "value") }),
    drawn("circle", { class: "now", cx: x(last.answers), cy: y(last.value), r: 4.5 }));
}
