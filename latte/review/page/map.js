// The map: photos that look alike lie close together. Draw around some, and name them.

import { button, counted, find, made, picture } from "./dom.js";
import { hue, showLikely } from "./classes.js";
import { open, say } from "./head.js";
import { accept, asked, call, guarded, onState, state } from "./server.js";

const BYTES = 8; // per photo: x, y, label of 16 bits, flags, nothing
const [DOUBTFUL, ANSWERED] = [1, 2];
const NEAR = 12; // pixels between the pointer and the dot it means
const PINS = 46; // pixels between photos that are drawn instead of dots
const MARGIN = 28; // pixels around all dots
const NEIGHBOURS = 10;
const LABELS = 7; // classes whose name stands on the map

let points = []; // {x, y, label, doubtful, answered} per photo, x and y from 0 to 1
let picked = new Set();
let looked = new Set(); // photos of the selection whose picture was on the screen
let lasso = [];
let cursor = -1; // photo that the keys have walked to
let hot = null; // class under the pointer
let pinned = false;
let eye = { zoom: 1, x: 0, y: 0 };
let size = [0, 0];
let frame = 0;
let colours = {};
let sprites = new Map();
let last = null; // revision whose labels are drawn
const images = new Map();
const pointers = new Map();

const layer = (id) => find(id).getContext("2d");
const isOpen = () => Boolean(find("dots"));

// Data

async function fetchPoints() {
  const reply = await call("map");
  const data = new DataView(await reply.arrayBuffer());
  points = Array.from({ length: data.byteLength / BYTES }, (_, at) => {
    const [x, y, label] = [0, 2, 4].map((offset) => data.getUint16(at * BYTES + offset, true));
    const flags = data.getUint8(at * BYTES + 6);
    return { x: x / 65535, y: y / 65535, label, doubtful: Boolean(flags & DOUBTFUL), answered: Boolean(flags & ANSWERED) };
  });
  last = state.revision;
  return reply.headers.get("x-map");
}

/** Open the view. */
export function load() {
  guarded(async () => {
    const kind = points.length && last === state.revision ? null : await fetchPoints();
    [picked, looked, lasso, hot] = [new Set(), new Set(), [], null];
    find("view").replaceChildren(...body(kind));
    find("side").hidden = false;
    find("confirm").hidden = true;
    find("none").hidden = find("unsure").hidden = false;
    find("unsure").querySelector("span").textContent = "Cannot tell";
    showLikely([]);
    fit();
    find("over").focus({ preventScroll: true });
  });
}

function body(kind) {
  const rough = kind === "pca" ? " A rough map: install latte with its extra “review” for a better one." : "";
  const over = made("canvas", { id: "over", tabIndex: 0, role: "application", "aria-label": `Map of ${counted(points.length, "photo")}. Arrow keys walk, space selects, plus adds neighbours.` });
  listen(over);
  const pins = button("Photos", "", () => {
    pinned = !pinned;
    pins.textContent = pinned ? "Dots" : "Photos";
    paint();
  });
  const [closer, farther] = [["+", "Zoom in", 1.5], ["−", "Zoom out", 1 / 1.5]].map(([text, label, by]) => Object.assign(button(text, "", () => zoom(by)), { ariaLabel: label }));
  return [made("div", { className: "asking" }, made("h1", {}, "Map of your photos"), made("p", {}, `Photos that look alike lie close together. Draw around some to name them.${rough}`)),
    made("div", { id: "map" }, made("canvas", { id: "dots" }), over,
      made("p", { className: "key" }, made("span", { className: "dot" }), "sure", made("span", { className: "dot hollow" }), "doubtful"),
      made("div", { className: "tools" }, farther, closer, pins),
      made("p", { className: "unseen", id: "walked", role: "status" }), made("div", { id: "peek", hidden: true }), made("div", { id: "tray", hidden: true }))];
}

// Places on the screen

const onScreen = ({ x, y }) => [MARGIN + x * (size[0] - 2 * MARGIN), MARGIN + y * (size[1] - 2 * MARGIN)].map((value, axis) => value * eye.zoom + (axis ? eye.y : eye.x));

function zoom(by, [x, y] = size.map((side) => side / 2)) {
  const next = Math.min(40, Math.max(1, eye.zoom * by));
  const ratio = next / eye.zoom;
  look(next, x - (x - eye.x) * ratio, y - (y - eye.y) * ratio);
}

/** Move the eye, but never beyond the map's edge. */
function look(next, x, y) {
  const within = (value, side) => Math.min(0, Math.max(side * (1 - next), value));
  eye = { zoom: next, x: within(x, size[0]), y: within(y, size[1]) };
  lasso = [];
  paint();
}

function nearest([x, y]) {
  let [best, least] = [-1, NEAR];
  points.forEach((point, at) => {
    const [px, py] = onScreen(point);
    const distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [at, distance];
  });
  return best;
}

function isInside([x, y], outline) {
  return outline.reduce((inside, [ax, ay], at) => {
    const [bx, by] = outline[(at + 1) % outline.length];
    return ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax ? !inside : inside;
  }, false);
}

// Pointer: draw around dots; shift, the middle button or two fingers move the map

function listen(canvas) {
  const at = (event) => [event.offsetX, event.offsetY];
  canvas.onpointerdown = (event) => {
    pointers.set(event.pointerId, at(event));
    canvas.setPointerCapture(event.pointerId);
    lasso = [at(event)];
  };
  canvas.onpointermove = (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return peek(nearest(at(event)));
    const old = [...pointers.values()];
    pointers.set(event.pointerId, at(event));
    if (event.shiftKey || event.buttons === 4) look(eye.zoom, eye.x + at(event)[0] - before[0], eye.y + at(event)[1] - before[1]);
    else if (pointers.size > 1) pinch(old, [...pointers.values()]);
    else if (lasso.length) lasso.push(at(event));
    return paint();
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    pointers.delete(event.pointerId);
    if (lasso.length > 2) pick(new Set(points.keys().filter((photo) => isInside(onScreen(points[photo]), lasso))));
    else if (lasso.length) toggle(nearest(at(event)));
  };
  canvas.onpointerleave = () => peek(-1);
  canvas.onwheel = (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), at(event));
  };
}

function pinch([a, b], [c, d]) {
  const middle = ([x, y], [u, v]) => [(x + u) / 2, (y + v) / 2];
  const apart = ([x, y], [u, v]) => Math.hypot(x - u, y - v);
  const [before, now] = [middle(a, b), middle(c, d)];
  look(eye.zoom, eye.x + now[0] - before[0], eye.y + now[1] - before[1]);
  zoom(apart(c, d) / Math.max(1, apart(a, b)), now);
}

function peek(photo) {
  const element = find("peek");
  element.hidden = photo < 0;
  if (photo < 0) return;
  const { label, doubtful } = points[photo];
  if (element.dataset.photo !== `${photo} ${label}`) {
    element.replaceChildren(picture(photo), made("span", {}, made("i", { className: `dot k${hue(label)}${doubtful ? " hollow" : ""}` }), state.classes[label]));
    element.dataset.photo = `${photo} ${label}`;
  }
  const [x, y] = onScreen(points[photo]);
  element.style.left = `${Math.min(x + 14, size[0] - 150)}px`;
  element.style.top = `${y > 160 ? y - 150 : y + 14}px`;
}

// The selection

function toggle(photo) {
  if (photo < 0) return pick(new Set());
  const next = new Set(picked);
  if (!next.delete(photo)) next.add(photo);
  return pick(next, false);
}

function pick(next, forgets = true) {
  picked = next;
  if (forgets || !next.size) looked = new Set();
  if (!next.size || lasso.length < 3) lasso = [];
  tray();
  paint();
}

function tray() {
  const few = [...picked].filter((_, at) => at % Math.ceil(picked.size / 7) === 0);
  const doubtful = [...picked].filter((photo) => points[photo].doubtful).length;
  for (const photo of few) looked.add(photo);
  find("tray").hidden = !picked.size;
  find("tray").replaceChildren(made("p", { role: "status" }, made("b", {}, `${counted(picked.size, "photo")} selected`), made("br"), `${doubtful} doubtful.`, made("span", { className: "wide" }, " Press a class to name them.")),
    made("span", { className: "few" }, few.map((photo) => picture(photo))), button("Look at all", "", lookAtAll),
    button("Clear", "esc", () => pick(new Set()), "button plain"));
}

function lookAtAll() {
  looked = new Set(picked);
  open(`${counted(picked.size, "photo")} selected`, "all", made("div", { className: "strip" }, [...picked].map((photo) => made("img", { src: `thumb/${photo}`, alt: "", loading: "lazy" }))));
}

/** Name the selected photos. Those whose picture was never on the screen teach, but do not measure. */
export function answer(kind, label = null) {
  if (!picked.size) return;
  const marks = [...picked].map((photo) => ({ photo, kind, ...(label === null ? {} : { class: label }) }));
  guarded(async () => {
    const reply = await asked("answer", { question: null, view: "map", marks, seen: [...looked].filter((photo) => picked.has(photo)) });
    accept(reply.state);
    say(`${counted(marks.length, "photo")} ${kind === "class" ? `named ${state.classes[label]}.` : "noted."}`);
    for (const { photo } of marks) Object.assign(points[photo], { answered: true, doubtful: false, ...(label === null ? {} : { label }) });
    pick(new Set());
    find("over").focus({ preventScroll: true });
  });
}

/** Light the dots of a class that the pointer is on. */
export function point(label) {
  hot = label;
  if (isOpen()) paint();
}

/** Handle a key of the map; return whether there is one. */
export function pressed(key) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  if (way) walk(...way);
  else if (key === " ") toggle(cursor);
  else if (key === "+" && cursor >= 0) pick(new Set([...picked, ...neighbours()]), false);
  else if (key === "Escape") pick(new Set());
  else if (key === ">" || key === "<") zoom(key === ">" ? 1.5 : 1 / 1.5, cursor >= 0 ? onScreen(points[cursor]) : undefined);
  else return false;
  tellWalked();
  paint();
  return true;
}

function walk(right, down) {
  const from = points[cursor] ?? { x: 0.5, y: 0.5 };
  let [best, least] = [cursor, Infinity];
  points.forEach(({ x, y }, at) => {
    const ahead = (x - from.x) * right + (y - from.y) * down;
    const aside = Math.abs((x - from.x) * down) + Math.abs((y - from.y) * right);
    if (at !== cursor && ahead > 0.001 && ahead + 2 * aside < least) [best, least] = [at, ahead + 2 * aside];
  });
  cursor = best;
  const [x, y] = onScreen(points[cursor]);
  if (x < 0 || y < 0 || x > size[0] || y > size[1]) look(eye.zoom, eye.x + size[0] / 2 - x, eye.y + size[1] / 2 - y);
}

function neighbours() {
  const from = points[cursor];
  const far = (photo) => Math.hypot(points[photo].x - from.x, points[photo].y - from.y);
  return [...points.keys()].filter((photo) => !picked.has(photo)).sort((a, b) => far(a) - far(b)).slice(0, NEIGHBOURS);
}

function tellWalked() {
  if (cursor < 0) return;
  const { label, doubtful } = points[cursor];
  find("walked").textContent = [state.classes[label], doubtful && "doubtful", picked.has(cursor) && "selected"].filter(Boolean).join(", ");
  peek(cursor);
}

// Drawing: dots on one canvas, what moves above them on another

function fit() {
  if (!isOpen()) return;
  size = [find("map").clientWidth, find("map").clientHeight];
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(["surface", "ink", "focus", "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "kx"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
  sprites = new Map();
  for (const id of ["dots", "over"]) {
    Object.assign(find(id), { width: size[0] * devicePixelRatio, height: size[1] * devicePixelRatio });
    layer(id).scale(devicePixelRatio, devicePixelRatio);
  }
  look(eye.zoom, eye.x, eye.y);
}

function paint() {
  if (frame || !isOpen()) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    if (!isOpen()) return;
    paintDots();
    paintOver();
  });
}

const SPRITE = 7; // half a dot's picture, in pixels

function sprite(point, isPicked) {
  const name = `${hue(point.label)} ${point.doubtful} ${isPicked}`;
  if (!sprites.has(name)) sprites.set(name, drawSprite(colours[`k${hue(point.label)}`], point.doubtful, isPicked ? 5 : points.length > 3000 ? 2.5 : 4));
  return sprites.get(name);
}

function drawSprite(colour, isHollow, radius) {
  const canvas = made("canvas", { width: 2 * SPRITE * devicePixelRatio, height: 2 * SPRITE * devicePixelRatio });
  const pen = canvas.getContext("2d");
  pen.scale(devicePixelRatio, devicePixelRatio);
  pen.arc(SPRITE, SPRITE, radius, 0, 7);
  Object.assign(pen, isHollow ? { fillStyle: colours.surface, strokeStyle: colour, lineWidth: 1.8 } : { fillStyle: colour, strokeStyle: colours.surface, lineWidth: 1 });
  pen.fill();
  pen.stroke();
  return canvas;
}

function paintDots() {
  const pen = layer("dots");
  pen.clearRect(0, 0, ...size);
  const isDim = (point, photo) => (hot !== null ? point.label !== hot : picked.size > 0 && !picked.has(photo));
  for (const dim of [true, false]) {
    pen.globalAlpha = dim ? 0.28 : 1;
    points.forEach((point, photo) => {
      if (isDim(point, photo) !== dim) return;
      const [x, y] = onScreen(point);
      if (x > -SPRITE && y > -SPRITE && x < size[0] + SPRITE && y < size[1] + SPRITE) pen.drawImage(sprite(point, picked.has(photo)), x - SPRITE, y - SPRITE, 2 * SPRITE, 2 * SPRITE);
    });
  }
  pen.globalAlpha = 1;
  if (pinned) paintPins(pen);
  else paintNames(pen);
}

function paintNames(pen) {
  const largest = [...state.counts.keys()].sort((a, b) => state.counts[b] - state.counts[a]).slice(0, LABELS);
  Object.assign(pen, { font: "600 13px system-ui, sans-serif", textAlign: "center", lineJoin: "round", lineWidth: 5, strokeStyle: colours.surface, fillStyle: colours.ink });
  for (const label of largest) {
    const own = points.filter((point) => point.label === label && !point.doubtful);
    if (!own.length) continue;
    const middle = (axis) => own.map((point) => point[axis]).sort((a, b) => a - b)[own.length >> 1];
    const place = onScreen({ x: middle("x"), y: middle("y") });
    pen.strokeText(state.classes[label], ...place);
    pen.fillText(state.classes[label], ...place);
  }
}

function paintPins(pen) {
  const put = [];
  points.forEach((point, photo) => {
    const [x, y] = onScreen(point);
    if (x < 0 || y < 0 || x > size[0] || y > size[1] || put.some(([a, b]) => Math.hypot(a - x, b - y) < PINS)) return;
    put.push([x, y]);
    if (!images.has(photo)) images.set(photo, made("img", { onload: paint, src: `thumb/${photo}` }));
    const image = images.get(photo);
    if (!image.complete || !image.naturalWidth) return;
    const side = Math.min(image.naturalWidth, image.naturalHeight);
    pen.drawImage(image, (image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2, side, side, x - 20, y - 20, 40, 40);
    Object.assign(pen, { strokeStyle: colours[`k${hue(point.label)}`], lineWidth: 2.5 });
    pen.strokeRect(x - 20, y - 20, 40, 40);
  });
}

function paintOver() {
  const pen = layer("over");
  pen.clearRect(0, 0, ...size);
  if (lasso.length > 2) {
    pen.beginPath();
    for (const place of lasso) pen.lineTo(...place);
    pen.closePath();
    Object.assign(pen, { globalAlpha: 0.08, fillStyle: colours.ink, strokeStyle: colours.ink, lineWidth: 1.5 });
    pen.fill();
    pen.globalAlpha = 1;
    pen.setLineDash([4, 4]);
    pen.stroke();
    pen.setLineDash([]);
  }
  if (cursor < 0) return;
  pen.beginPath();
  pen.arc(...onScreen(points[cursor]), 9, 0, 7);
  Object.assign(pen, { strokeStyle: colours.focus, lineWidth: 2.5 });
  pen.stroke();
}

addEventListener("resize", fit);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fit);

// New labels colour the dots; places stay.
onState(async () => {
  if (!isOpen() || last === state.revision) return;
  await fetchPoints().catch(() => {});
  paint();
});
