"use strict";
const MINUS = "\u2212";
const NAMESPACE = document.querySelector("svg")?.namespaceURI;
const svg = (tag, attributes) => {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const bar = (before, after) => {
  const x = (value) => (6 + value * 148).toFixed(1);
  const direction = after >= before ? "up" : "down";
  const picture = svg("svg", { viewBox: "0 0 160 16", class: "change", "aria-hidden": "true" });
  picture.append(
    svg("line", { class: "rail", x1: 6, y1: 8, x2: 154, y2: 8 }),
    svg("line", { class: `move ${direction}`, x1: x(before), y1: 8, x2: x(after), y2: 8 }),
    svg("circle", { class: "dot zero-shot", cx: x(before), cy: 8, r: 4 }),
    svg("circle", { class: `dot ${direction}`, cx: x(after), cy: 8, r: 4.5 }),
  );
  return picture;
};
// Python, which wrote the page, rounds halves to the even digit, and toFixed rounds them up.
const rounded = (value, digits) => {
  const scaled = value * 10 ** digits;
  const below = Math.floor(scaled);
  const half = scaled - below === 0.5 && (2 * below + 1) % 5 ** digits === 0;
  return (half && below % 2 === 0 ? below / 10 ** digits : value).toFixed(digits);
};
const points = (difference, digits) => {
  const text = rounded(100 * Math.abs(difference), digits);
  return Number(text) === 0 ? text : (difference < 0 ? MINUS : "+") + text;
};
const cell = (tag, css, ...content) => {
  const element = document.createElement(tag);
  if (css) element.className = css;
  element.append(...content);
  return element;
};
const row = (name, images, before, after) => {
  const digits = images > 100 ? 1 : 0;
  const percent = (value) => rounded(100 * value, digits);
  const head = cell("th", "", cell("bdi", "", name));
  head.scope = "row";
  const line = document.createElement("tr");
  line.append(
    head,
    cell("td", "number", images.toLocaleString("en")),
    cell("td", "number", `${percent(before)} \u2192 ${percent(after)}`),
    cell("td", "picture", bar(before, after)),
    cell("td", "number", cell("strong", "", points(after - before, digits))),
  );
  return line;
};
for (const part of document.querySelectorAll("[data-classes]")) {
  const { names, images, choices } = JSON.parse(part.querySelector("script").textContent);
  const [first, second] = part.querySelectorAll("select");
  const search = part.querySelector("input");
  const body = part.querySelector("tbody");
  const show = () => {
    const [before, after] = [choices[first.value], choices[second.value]];
    const words = search.value.toLocaleLowerCase().split(/\s+/);
    const known = names.map((_, label) => label).filter((label) => before[label] !== null && after[label] !== null);
    const fitting = known.filter((label) => words.every((word) => names[label].toLocaleLowerCase().includes(word)));
    const gain = (label) => after[label] - before[label];
    fitting.sort((one, other) => gain(other) - gain(one));
    body.replaceChildren(...fitting.map((label) => row(names[label], images[label], before[label], after[label])));
    part.querySelector("output").textContent = `${fitting.length} of ${known.length}`;
  };
  const controls = part.querySelector(".filter");
  controls.hidden = false;
  controls.addEventListener("input", show);
}
