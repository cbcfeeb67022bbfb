// The views that ask: Name groups, Measure, Doubtful. They show one question, and save its answer.

import { copied, counted, fill, find, image, showFor } from "./dom.js";
import { isTyping, showLikely } from "./classes.js";
import { say } from "./head.js";
import { asked, guarded, onState, state } from "./server.js";

const KEYS = "abcdefghijkl";
const MOST_PIPS = 60;

let view = "";
let question = null;
let kind = ""; // view of the question, or "named-class"
let tiles = [];
let label = null; // class whose labels alone are doubted
let enlarged = 0;
let ready = new Map(); // images of the next two questions, by their address

// Show

/** Show the next question of a view; `only` is a class, for the doubtful labels of one class. */
export function load(name, only = null, focuses = true) {
  label = only;
  const path = `question?view=${name}${only === null ? "" : `&label=${only}`}`;
  guarded(async () => show(name, await asked(path), focuses));
}

/** Forget the question, because another view is shown. */
export const leave = () => { [view, question, tiles] = ["", null, []]; };

/** Show a question, or the end of its view. */
export function show(name, next, focuses = true) {
  [view, question] = [name, next.question];
  kind = question?.kind === "named-class" ? "named-class" : view;
  showFor(question ? kind : `end-${view}`);
  const figures = question?.photos.map(figure) ?? [];
  tiles = figures.map((one) => one.firstElementChild);
  find("tiles").className = kind;
  find("tiles").replaceChildren(...figures);
  find("class-asked").textContent = state.classes[question?.class] ?? "";
  showLikely(question?.likely ?? []);
  showState();
  if (focuses && !isTyping()) focusFirst();
  const ahead = (next.ahead ?? []).map((index) => source({ index }));
  ready = new Map(ahead.map((src) => [src, ready.get(src) ?? image(src)]));
}

const source = ({ index }) => `${view === "measure" ? "image" : "thumb"}/${index}`;

function focusFirst() {
  const end = document.querySelector("main h1[tabindex]:not([hidden])");
  (tiles.find((tile) => !tile.disabled) ?? end)?.focus({ preventScroll: true });
}

/** Show what depends on the state and on the marks. */
function showState() {
  const { classes, doubtful, measured, photos } = state;
  const pips = Array.from({ length: Math.min(measured.answers, MOST_PIPS) }, (_, at) =>
    copied(at < measured.right ? "right-pip" : "wrong-pip"));
  find("pips").replaceChildren(...pips);
  find("doubtful").textContent =
    label === null ? `${doubtful} doubtful of ${photos}` : `Labelled ${classes[label]} only`;
  const some = marked("chosen").length;
  const shows = some ? `${counted(some, "photo")} show${some === 1 ? "s" : ""} it` : "None of them";
  const others = `All ${marked("chosen", "saved").length ? "other " : ""}labels are right`;
  fill(find("confirm"), { span: kind === "named-class" ? shows : others });
  find("confirm").disabled = kind !== "named-class" && some > 0;
}

// A view that had nothing left asks again once the model has learnt.
onState(() => {
  if (!view) return;
  if (question) showState();
  else load(view, label, false);
});

// Tiles and their marks: "" counts, "out" is left out, "own" waits for a class of its own, "named"
// has one, "chosen" is wrong or shows the class asked for, "saved" is answered, "gone" has no picture

const TOLD = { out: "left out", own: "which class?", saved: "saved", gone: "cannot be shown" };

function figure(photo, at) {
  const element = copied("photo", {
    kbd: view === "measure" ? "" : KEYS[at],
    ".series": photo.others ? `+ ${photo.others}` : "",
  });
  const [tile, caption] = element.children;
  const src = source(photo);
  const shown = Object.assign(ready.get(src) ?? image(src), { alt: "Photo " });
  shown.onerror = () => { if (tiles.includes(tile)) lose(tile); };
  tile.prepend(shown);
  tile.dataset.photo = photo.index;
  tile.photo = photo;
  tile.onclick = () => press(tile, false);
  tile.oncontextmenu = (event) => { // a long touch
    event.preventDefault();
    enlarge(tile);
  };
  if (kind !== "groups" || !photo.doubtful) tile.querySelector(".doubt").remove();
  if (kind === "doubtful") showLabel(element, photo);
  else caption.remove();
  mark(tile, "");
  return element;
}

function showLabel(element, { label: shown, confidence }) {
  const [name, sure] = [state.classes[shown], `${Math.round(100 * confidence)} % sure`];
  fill(element, { ".unseen": `labelled ${name}`, ".label": name, ".sure": sure });
  element.querySelector(".label").title = name;
  element.querySelector("figcaption .dot").classList.add(state.hues[shown]);
}

const marked = (...marks) => tiles.filter((tile) => marks.includes(tile.dataset.mark));

/** Mark a tile, and say so on it. */
function mark(tile, value, named) {
  tile.dataset.mark = value;
  tile.disabled = value === "saved" || value === "gone";
  tile.named = named;
  fill(tile, { ".told": state.classes[named] ?? TOLD[value] ?? "" });
  if (view !== "measure") tile.ariaPressed = String(value !== "");
  showState();
}

/** A question without a picture left is skipped. */
function lose(tile) {
  mark(tile, "gone");
  if (marked("gone").length === tiles.length) skip();
}

/** Mark a tile, or take its mark back; `alone` asks for a class of its own at once. */
function press(tile, alone) {
  const before = tile.dataset.mark;
  if (view === "measure") return enlarge(tile);
  if (kind !== "groups") return mark(tile, before ? "" : "chosen");
  for (const other of marked("own")) if (other !== tile) mark(other, "out");
  const next = alone && before !== "own" ? "own" : { "": "out", out: "own" }[before] ?? "";
  return mark(tile, next);
}

/** Press the tile with this letter; its capital gives the photo a class of its own. */
export function pressTile(key) {
  const tile = tiles[KEYS.indexOf(key.toLowerCase())];
  if (tile && !tile.disabled && view !== "measure") press(tile, key !== key.toLowerCase());
}

// Answers

const toMark = (tile, how, named) => ({ photo: tile.photo.index, kind: how, class: named });

/** Answer the question with a class, or with "none" or "unsure". */
export function answer(how, named) {
  if (!question) return;
  const [alone] = marked("own");
  if (alone && how === "class") mark(alone, "named", named);
  else if (kind === "groups" || kind === "measure") nameAll(how, named);
  else correct(how, named);
}

const DONE = { none: "kept out of all classes", unsure: "noted: nothing was taught" };

function nameAll(how, named) {
  const rest = marked("").map((tile) => toMark(tile, how, named));
  const own = marked("named").map((tile) => toMark(tile, "class", tile.named));
  const out = marked("out", "own").map((tile) => toMark(tile, "unsure"));
  const done = DONE[how] ?? `named ${state.classes[named]}`;
  save([...rest, ...own, ...out], `${counted(rest.length, "photo")} ${done}.`);
}

/** Correct the chosen tiles; they stay until all others are confirmed. */
function correct(how, named) {
  const chosen = marked("chosen");
  if (!chosen.length) return;
  const marks = chosen.map((tile) => toMark(tile, how, named));
  save(marks, `${counted(chosen.length, "label")} corrected.`, () => {
    for (const tile of chosen) mark(tile, "saved", named);
    focusFirst();
    return marked("").length > 0;
  });
}

/** Confirm all other labels, or say which photos show the class that was asked for. */
export function confirm() {
  if (!question || find("confirm").hidden || find("confirm").disabled) return;
  const asks = kind === "named-class";
  const marks = marked(asks ? "chosen" : "")
    .map((tile) => toMark(tile, "class", asks ? question.class : tile.photo.label));
  const done = asks ? `named ${state.classes[question.class]}` : "confirmed";
  save(marks, `${counted(marks.length, asks ? "photo" : "label")} ${done}.`);
}

export function skip() {
  if (question) save([], "Skipped.", () => false, []);
}

const withPicture = () => tiles.filter((tile) => tile.dataset.mark !== "gone");

/** Save marks, and show the next question unless `stays` keeps this one. */
function save(marks, done, stays = () => false, shown = withPicture()) {
  const [name, seen] = [view, shown.map((tile) => tile.photo.index)];
  guarded(async () => {
    const body = { question: question.id, view: name, label, marks, seen };
    const { next } = await asked("answer", body);
    find("undo").disabled = false;
    say(done);
    if (!stays()) show(name, next);
  });
}

// Full size

/** Show a photo in full size, with its name. */
export function enlarge(tile = document.activeElement) {
  if (!question) return;
  enlarged = Math.max(0, tiles.indexOf(tile));
  const { index, name, others } = tiles[enlarged].photo;
  find("zoom-title").textContent = name + (others ? ` + ${others} more` : "");
  find("zoomed").src = `image/${index}`;
  if (!find("zoom").open) find("zoom").showModal();
}

const step = (by) => enlarge(tiles[Math.min(tiles.length - 1, Math.max(0, enlarged + by))]);

/** Handle a key while a photo is shown in full size; return true if it has a meaning there. */
export function pressedInZoom(key) {
  if (key === "z") find("zoom").close();
  else if (key === "ArrowLeft") step(-1);
  else if (key === "ArrowRight") step(1);
  else return false;
  return true;
}
