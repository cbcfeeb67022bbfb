// The views that ask: Name groups, Measure, Doubtful. They show one question, and save its answer.

import { counted, find, made, showFor } from "./dom.js";
import { isTyping, showLikely } from "./classes.js";
import { say } from "./head.js";
import { asked, guarded, onState, state } from "./server.js";

const KEYS = "abcdefghijkl";

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
  guarded(async () => show(name, await asked(`question?view=${name}${only === null ? "" : `&label=${only}`}`), focuses));
}

/** Forget the question, because another view is shown. */
export const leave = () => { [view, question, tiles] = ["", null, []]; };

function show(name, next, focuses = true) {
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
  ready = new Map((next.ahead ?? []).map(source).map((src) => [src, ready.get(src) ?? imageOf(src)]));
}

const source = (photo) => `${view === "measure" ? "image" : "thumb"}/${photo}`;

const imageOf = (src) => made("img", { src, draggable: false });

function focusFirst() {
  const first = tiles.find((tile) => !tile.disabled) ?? document.querySelector("main h1[tabindex]:not([hidden])");
  first?.focus({ preventScroll: true });
}

/** Show what depends on the state and on the marks. */
function showState() {
  const { measured, doubtful, photos } = state;
  find("doubtful").textContent = label === null ? `${doubtful} doubtful of ${photos}` : `Labelled ${state.classes[label]} only`;
  if (measured) {
    const pips = Array.from({ length: Math.min(measured.answers, 60) }, (_, at) => made("i", { className: at < measured.right ? "" : "wrong" }));
    find("pips").replaceChildren(...pips);
  }
  const some = marked("chosen").length;
  const shows = some ? `${counted(some, "photo")} show${some === 1 ? "s" : ""} it` : "None of them";
  const others = marked("chosen", "saved").length ? "All other labels are right" : "All labels are right";
  find("confirm").firstElementChild.textContent = kind === "named-class" ? shows : others;
  find("confirm").disabled = kind !== "named-class" && some > 0;
}

// A view that had nothing left asks again once the model has learnt.
onState(() => {
  if (!view) return;
  if (question) showState();
  else load(view, label, false);
});

// Tiles and their marks: "" counts, "out" is left out, "own" waits for a class of its own, "named" has one,
// "chosen" is wrong or shows the class asked for, "saved" is answered, "gone" has no picture

const TOLD = { out: "left out", own: "which class?", saved: "saved", gone: "cannot be shown" };

function figure(photo, at) {
  const letter = view === "measure" ? "" : KEYS[at];
  const src = source(photo.index);
  const image = Object.assign(ready.get(src) ?? imageOf(src), { alt: "Photo " });
  const tile = made("button", { type: "button", className: "tile", onclick: () => press(tile, false) }, image);
  Object.assign(tile, { photo, letter });
  tile.dataset.photo = photo.index;
  if (letter) tile.append(made("kbd", {}, letter));
  tile.append(made("span", { className: "told" }));
  if (photo.label !== undefined) tile.append(made("span", { className: "unseen" }, `labelled ${state.classes[photo.label]}`));
  if (photo.others) tile.append(made("span", { className: "tag series" }, `+ ${photo.others}`));
  const isTagged = kind === "groups" && photo.doubtful;
  if (isTagged) tile.append(made("span", { className: "tag" }, made("i", { className: "dot hollow" }), made("span", {}, "doubtful")));
  tile.oncontextmenu = (event) => { // a long touch
    event.preventDefault();
    enlarge(tile);
  };
  image.addEventListener("error", () => { if (tiles.includes(tile)) lose(tile); });
  mark(tile, "");
  return made("figure", {}, tile, kind === "doubtful" ? caption(photo) : "");
}

function caption({ label: shown, confidence }) {
  const sure = confidence === undefined ? "" : made("span", { className: "sure" }, `${Math.round(100 * confidence)} % sure`);
  const name = state.classes[shown];
  return made("figcaption", {}, made("i", { className: `dot hollow ${state.hues[shown]}` }), made("span", { className: "label", title: name }, name), sure);
}

const marked = (...marks) => tiles.filter((tile) => marks.includes(tile.dataset.mark));

/** Mark a tile, and say so on it. */
function mark(tile, value, named = null) {
  tile.dataset.mark = value;
  tile.disabled = value === "saved" || value === "gone";
  tile.named = named;
  const told = named === null ? TOLD[value] : state.classes[named];
  tile.querySelector(".told").textContent = told ?? "";
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
  if (view === "measure") return enlarge(tile);
  const is = tile.dataset.mark;
  if (kind !== "groups") return mark(tile, is ? "" : "chosen");
  for (const other of marked("own")) if (other !== tile) mark(other, "out");
  return mark(tile, alone && is !== "own" ? "own" : { "": "out", out: "own", own: "", named: "" }[is]);
}

/** Press the tile with this letter; its capital gives the photo a class of its own. */
export function pressTile(key) {
  const tile = tiles.find(({ letter, disabled }) => letter && letter === key.toLowerCase() && !disabled);
  if (tile) press(tile, kind === "groups" && key !== key.toLowerCase());
}

// Answers

const toMark = (how, named = null) => (tile) => ({ photo: tile.photo.index, kind: how, ...(named === null ? {} : { class: named }) });

/** Answer the question with a class, or with "none" or "unsure". */
export function answer(how, named = null) {
  const [alone] = marked("own");
  if (!question) return;
  if (alone && how === "class") mark(alone, "named", named);
  else if (kind === "doubtful" || kind === "named-class") correct(how, named);
  else nameAll(how, named);
}

function nameAll(how, named) {
  const own = marked("named").map((tile) => toMark("class", tile.named)(tile));
  const rest = marked("").map(toMark(how, named));
  const done = { class: `named ${state.classes[named]}`, none: "kept out of all classes", unsure: "noted: nothing was taught" }[how];
  save([...rest, ...own, ...marked("out", "own").map(toMark("unsure"))], `${counted(rest.length, "photo")} ${done}.`);
}

/** Correct the chosen tiles; they stay until all others are confirmed. */
function correct(how, named) {
  const chosen = marked("chosen");
  if (!chosen.length) return;
  save(chosen.map(toMark(how, named)), `${counted(chosen.length, "label")} corrected.`, () => {
    for (const tile of chosen) mark(tile, "saved", named);
    focusFirst();
    return marked("").length > 0;
  });
}

/** Confirm all other labels, or say which photos show the class that was asked for. */
export function confirm() {
  if (!question || find("confirm").hidden || find("confirm").disabled) return;
  const shows = kind === "named-class";
  const marks = marked(shows ? "chosen" : "").map((tile) => toMark("class", shows ? question.class : tile.photo.label)(tile));
  save(marks, shows ? `${counted(marks.length, "photo")} named ${state.classes[question.class]}.` : `${counted(marks.length, "label")} confirmed.`);
}

export function skip() {
  if (question) save([], "Skipped.", () => false, []);
}

/** Save marks, and show the next question unless `stays` keeps this one. */
function save(marks, done, stays = () => false, seen = tiles.filter((tile) => tile.dataset.mark !== "gone").map((tile) => tile.photo.index)) {
  const name = view;
  guarded(async () => {
    const reply = await asked("answer", { question: question.id, view: name, label, marks, seen });
    find("undo").disabled = false;
    say(done);
    if (!stays()) show(name, reply.next);
  });
}

/** Undo the last answer, and show its question again; `enter` opens its view. */
export function undo(enter) {
  if (find("undo").disabled) return;
  guarded(async () => {
    const reply = await asked("withdraw", {});
    say("Undone.");
    enter(reply.view);
    if (reply.view !== "map") show(reply.view, reply);
  });
}

// Full size

/** Show a photo in full size, with its name. */
export function enlarge(tile = document.activeElement) {
  enlarged = Math.max(0, tiles.indexOf(tile));
  if (!question) return;
  const { index, name, others } = tiles[enlarged].photo;
  find("zoom-title").textContent = name + (others ? ` + ${others} more` : "");
  find("zoomed").src = `image/${index}`;
  if (!find("zoom").open) find("zoom").showModal();
}

/** Show the photo beside the one in full size. */
export const step = (by) => enlarge(tiles[Math.min(tiles.length - 1, Math.max(0, enlarged + by))]);
