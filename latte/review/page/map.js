// The map: photos that look alike lie close together. Draw around some, and name them.

import { counted, find, picture, showFor } from "./dom.js";
import { showLikely } from "./classes.js";
import { say } from "./head.js";
import { asked, call, guarded, onState, state } from "./server.js";

const BYTES = 8; // per photo: x, y and label of 16 bits, flags (1: doubtful), nothing
const [NEAR, MARGIN, SPRITE] = [12, 28, 7]; // pixels: to the dot that the pointer means, around all dots, half a dot's picture
const COLOURS = ["surface", "ink", "focus", ..."01234567x"].map((name) => (name.length > 1 ? name : `k${name}`));

export let points = []; // {x, y, label, doubtful} per photo, x and y from 0 to 1
let picked = new Set();
let looked = new Set(); // photos of the selection whose picture was on the screen
let lasso = [];
let cursor = -1; // photo that the keys have walked to
let hot = null; // class under the pointer
let eye = { zoom: 1, x: 0, y: 0 };
let size = [0, 0];
let frame = 0;
let colours = {};
let drawnRevision = null;
let layer = null; // picture of all dots, with room for half a dot around the canvas
let isStale = true; // the layer is to be drawn again
let sprites = []; // pixels of dots, by class, doubt, selection and light
let middles = []; // [label, place] of the largest classes
const fingers = new Map(); // places of the pointers that are down

const [dots, over] = [find("dots"), find("over")];
const isOpen = () => over.offsetParent !== null;

/** Read places, labels and doubts of all photos. */
export async function readPoints() {
  const reply = await call("map");
  const data = new DataView(await reply.arrayBuffer());
  points = Array.from({ length: data.byteLength / BYTES }, (_, photo) => {
    const [x, y, label] = [0, 2, 4].map((offset) => data.getUint16(photo * BYTES + offset, true));
    return { x: x / 65535, y: y / 65535, label, doubtful: Boolean(data.getUint8(photo * BYTES + 6) & 1) };
  });
  drawnRevision = state.revision;
  sprites = []; // classes may have other colours now
  findMiddles();
}

export const load = () => guarded(async () => {
  showFor("map");
  showLikely([]);
  await readPoints();
  fit();
  pick([]);
  over.focus({ preventScroll: true });
});

// Places on the screen

const onScreen = ({ x, y }) => [
  eye.x + eye.zoom * (MARGIN + x * (size[0] - 2 * MARGIN)),
  eye.y + eye.zoom * (MARGIN + y * (size[1] - 2 * MARGIN)),
];

/** Move the eye, but never beyond the map's edge. */
function look(zoom, x, y) {
  const within = (value, side) => Math.min(0, Math.max(side * (1 - zoom), value));
  eye = { zoom, x: within(x, size[0]), y: within(y, size[1]) };
  lasso = [];
  paint();
}

const move = ([x, y], [u, v]) => look(eye.zoom, eye.x + u - x, eye.y + v - y);

function zoom(by, [x, y] = cursor < 0 ? size.map((side) => side / 2) : onScreen(points[cursor])) {
  const next = Math.min(40, Math.max(1, eye.zoom * by));
  look(next, x - (x - eye.x) * next / eye.zoom, y - (y - eye.y) * next / eye.zoom);
}

/** Return the index of the least value below `limit`, or -1. */
function least(values, limit) {
  let best = -1;
  values.forEach((value, at) => { if (value < (best < 0 ? limit : values[best])) best = at; });
  return best;
}

const apart = ([x, y], [u, v]) => Math.hypot(x - u, y - v);

const nearest = (place) => least(points.map((point) => apart(onScreen(point), place)), NEAR);

const isInside = ([x, y], outline) => outline.reduce((inside, [ax, ay], at) => {
  const [bx, by] = outline[(at + 1) % outline.length];
  return ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax ? !inside : inside;
}, false);

// Pointer: draw around dots; shift, the middle button or two fingers move the map

const placeOf = (event) => [event.offsetX, event.offsetY];

over.onpointerdown = (event) => {
  over.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, placeOf(event));
  lasso = [placeOf(event)];
};
over.onpointermove = (event) => {
  const [before, now] = [fingers.get(event.pointerId), placeOf(event)];
  if (!before) return peek(nearest(now));
  const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  fingers.set(event.pointerId, now);
  if (event.shiftKey || event.buttons === 4) move(before, now);
  else if (other) zoom(apart(now, other) / Math.max(1, apart(before, other)), other);
  else if (lasso.length) lasso.push(now);
  return paint(false);
};
over.onpointerup = over.onpointercancel = (event) => {
  fingers.delete(event.pointerId);
  const near = nearest(placeOf(event));
  if (lasso.length > 2) pick([...points.keys()].filter((photo) => isInside(onScreen(points[photo]), lasso)));
  else if (lasso.length) toggle(near);
};
over.onpointerleave = () => peek(-1);
over.onwheel = (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 400), placeOf(event));
};

/** Show the photo of a dot beside it. */
function peek(photo) {
  find("peek").hidden = photo < 0;
  if (photo < 0) return;
  const [image, text] = find("peek").children;
  const { label, doubtful } = points[photo];
  if (image.dataset.photo !== `${photo}`) image.src = `thumb/${photo}`;
  image.dataset.photo = photo;
  text.firstElementChild.className = `dot ${state.hues[label]} ${doubtful ? "hollow" : ""}`;
  text.lastElementChild.textContent = state.classes[label];
  const [x, y] = onScreen(points[photo]);
  find("peek").style.left = `${Math.min(x + 14, size[0] - 150)}px`;
  find("peek").style.top = `${y > 160 ? y - 150 : y + 14}px`;
}

// The selection

const toggle = (photo) => pick(photo < 0 ? [] : picked.has(photo) ? [...picked].filter((one) => one !== photo) : [...picked, photo]);

function pick(photos) {
  picked = new Set(photos);
  if (!picked.size || lasso.length < 3) lasso = [];
  const few = photos.filter((_, at) => at % Math.ceil(photos.length / 7) === 0);
  looked = new Set([...looked, ...few].filter((photo) => picked.has(photo)));
  find("tray").hidden = !picked.size;
  find("picked").textContent = `${counted(picked.size, "photo")} selected`;
  find("picked-doubtful").textContent = `${photos.filter((photo) => points[photo].doubtful).length} doubtful.`;
  find("few").replaceChildren(...few.map(picture));
  paint();
}

find("look").onclick = () => {
  looked = new Set(picked);
  find("all-title").textContent = find("picked").textContent;
  find("all-photos").replaceChildren(...[...picked].map(picture));
  find("all").showModal();
};

/** Name the selected photos. Those whose picture was never on the screen teach, but do not measure. */
export function answer(kind, label = null) {
  if (!picked.size) return;
  const marks = [...picked].map((photo) => ({ photo, kind, ...(label === null ? {} : { class: label }) }));
  guarded(async () => {
    await asked("answer", { question: "", view: "map", marks, seen: [...looked] });
    if (label !== null) for (const photo of picked) Object.assign(points[photo], { label, doubtful: false });
    pick([]);
    say(`${counted(marks.length, "photo")} ${kind === "class" ? `named ${state.classes[label]}` : "noted"}.`);
    find("undo").disabled = false;
    over.focus({ preventScroll: true });
  });
}

// The pointer on a class lights its dots.
function point(label) {
  if (label === hot) return;
  hot = label;
  paint();
}

find("classes").onpointerover = ({ target }) => {
  const row = target.closest(".class");
  point(row && Number(row.dataset.label));
};
find("classes").onpointerleave = () => point(null);

// Keys

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  " ": () => { if (cursor >= 0) toggle(cursor); },
  "+": () => { if (cursor >= 0) pick([...picked, ...neighbours(10)]); },
  Escape: () => pick([]),
  "<": () => zoom(1 / 1.5),
  ">": () => zoom(1.5),
};

/** Handle a key of the map; return whether it has a meaning here. */
export function pressed(key) {
  if (WAYS[key]) walk(...WAYS[key]);
  else if (KEYS[key]) KEYS[key]();
  else return false;
  if (cursor < 0) return true;
  const { label, doubtful } = points[cursor];
  find("walked").textContent = [state.classes[label], doubtful && "doubtful", picked.has(cursor) && "selected"].filter(Boolean).join(", ");
  peek(cursor);
  paint(false);
  return true;
}

function walk(right, down) {
  const from = points[cursor] ?? { x: 0.5, y: 0.5 };
  const next = least(points.map(({ x, y }, photo) => {
    const ahead = (x - from.x) * right + (y - from.y) * down;
    return photo === cursor || ahead < 0.001 ? Infinity : ahead + 2 * Math.abs((x - from.x) * down + (y - from.y) * right);
  }), Infinity);
  if (next >= 0) cursor = next;
  const [x, y] = onScreen(points[cursor] ?? from);
  if (x < 0 || y < 0 || x > size[0] || y > size[1]) move([x, y], size.map((side) => side / 2));
}

function neighbours(count) {
  const far = (photo) => Math.hypot(points[photo].x - points[cursor].x, points[photo].y - points[cursor].y);
  return [...points.keys()].filter((photo) => !picked.has(photo)).sort((a, b) => far(a) - far(b)).slice(0, count);
}

// Drawing: dots on one canvas, what moves above them on another

function fit() {
  if (!isOpen()) return;
  size = [find("map").clientWidth, find("map").clientHeight];
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`)]));
  sprites = [];
  for (const canvas of [dots, over]) {
    [canvas.width, canvas.height] = size.map((side) => side * devicePixelRatio);
    canvas.getContext("2d").scale(devicePixelRatio, devicePixelRatio);
  }
  layer = new ImageData(dots.width + 2 * reach() + 2, dots.height + 2 * reach() + 2);
  look(eye.zoom, eye.x, eye.y);
}

function paint(withDots = true) {
  isStale ||= withDots;
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (!isOpen()) return;
    if (isStale) {
      paintDots(dots.getContext("2d"));
      paintNames(dots.getContext("2d"));
      isStale = false;
    }
    paintOver(over.getContext("2d"));
  });
}

const reach = () => Math.ceil(SPRITE * devicePixelRatio); // half a dot's picture in device pixels

function sprite({ label, doubtful }, isPicked, isDim) {
  const at = 8 * label + 4 * isDim + 2 * doubtful + isPicked;
  const radius = isPicked ? 5 : points.length > 3000 ? 2.5 : 4;
  return sprites[at] ??= drawSprite(colours[state.hues[label]], doubtful, radius, isDim ? 0.28 : 1);
}

/** Return the pixels of a dot on the map's ground, as pairs: place in the layer from the dot's middle, and colour. */
function drawSprite(colour, isHollow, radius, globalAlpha) {
  const [canvas, middle] = [document.createElement("canvas"), reach()];
  const side = 2 * middle;
  Object.assign(canvas, { width: side, height: side });
  const pen = canvas.getContext("2d");
  const [fillStyle, strokeStyle, lineWidth] = isHollow ? [colours.surface, colour, 1.8] : [colour, colours.surface, 1];
  pen.fillStyle = colours.surface;
  pen.fillRect(0, 0, side, side);
  pen.scale(devicePixelRatio, devicePixelRatio);
  Object.assign(pen, { fillStyle, strokeStyle, lineWidth, globalAlpha });
  pen.arc(middle / devicePixelRatio, middle / devicePixelRatio, radius, 0, 7);
  pen.fill();
  pen.stroke();
  const pixels = new Uint32Array(pen.getImageData(0, 0, side, side).data.buffer);
  const isOn = (at) => Math.hypot(at % side + 0.5 - middle, Math.floor(at / side) + 0.5 - middle) < (radius + lineWidth / 2) * devicePixelRatio;
  return [...pixels.keys()].filter(isOn).flatMap((at) => [(Math.floor(at / side) - middle) * layer.width + at % side - middle, pixels[at]]);
}

// Each dot is copied pixel by pixel: the canvas itself needs 67 ms for 10,000 dots.
function paintDots(pen) {
  const pixels = new Uint32Array(layer.data.buffer).fill(0);
  for (const isDim of [true, false]) {
    points.forEach((dot, photo) => {
      const isPicked = picked.has(photo);
      if ((hot !== null ? dot.label !== hot : picked.size > 0 && !isPicked) !== isDim) return;
      const [x, y] = onScreen(dot);
      if (x < 0 || y < 0 || x > size[0] || y > size[1]) return;
      const [column, row] = [x, y].map((value) => Math.round(value * devicePixelRatio) + reach());
      const dotPixels = sprite(dot, isPicked, isDim);
      for (let at = 0; at < dotPixels.length; at += 2) pixels[row * layer.width + column + dotPixels[at]] = dotPixels[at + 1];
    });
  }
  pen.putImageData(layer, -reach(), -reach());
}

/** Find where most photos of the seven largest classes are: there the class's name stands. */
function findMiddles() {
  const largest = state.bySize.slice(0, 7).map((label) => [label, points.filter((dot) => dot.label === label && !dot.doubtful)]);
  const middle = (dots_, axis) => dots_.map((dot) => dot[axis]).sort((a, b) => a - b)[dots_.length >> 1];
  middles = largest.filter(([, own]) => own.length).map(([label, own]) => [label, { x: middle(own, "x"), y: middle(own, "y") }]);
}

function paintNames(pen) {
  const { surface: strokeStyle, ink: fillStyle } = colours;
  Object.assign(pen, { font: "600 13px system-ui, sans-serif", textAlign: "center", lineJoin: "round", lineWidth: 5, strokeStyle, fillStyle });
  for (const [label, place] of middles) {
    pen.strokeText(state.classes[label], ...onScreen(place));
    pen.fillText(state.classes[label], ...onScreen(place));
  }
}

function paintOver(pen) {
  pen.clearRect(0, 0, ...size);
  pen.beginPath();
  for (const place of lasso) pen.lineTo(...place);
  pen.closePath();
  Object.assign(pen, { fillStyle: `color-mix(in srgb, ${colours.ink} 8%, transparent)`, strokeStyle: colours.ink, lineWidth: 1.5 });
  pen.setLineDash([4, 4]);
  pen.fill();
  pen.stroke();
  if (cursor < 0) return;
  pen.setLineDash([]);
  pen.beginPath();
  pen.arc(...onScreen(points[cursor]), 9, 0, 7);
  Object.assign(pen, { strokeStyle: colours.focus, lineWidth: 2.5 });
  pen.stroke();
}

addEventListener("resize", fit);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fit);

// New labels colour the dots; their places stay.
onState(async () => {
  if (!isOpen() || drawnRevision === state.revision) return;
  await readPoints().catch(() => {}); // the next state tries again
  paint();
});
