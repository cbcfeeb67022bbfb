// The views that ask: Name groups, Measure, Doubtful. They show one question, and save its answer.

import { button, counted, find, made, percent, picture } from "./dom.js";
import { hue, showLikely } from "./classes.js";
import { go, open, say, VIEWS } from "./head.js";
import { accept, asked, guarded, onState, state } from "./server.js";

export const TILE_KEYS = "abcdefghijkl";
const RANDOM = 20; // random photos from which the estimate rests on them alone

let view = "groups";
let question = null;
let showing = false; // one of these views is on the screen
let tiles = [];

const ASKS = {
  groups: { title: () => "What do these photos show?", hint: "Press a letter to leave a photo out, then the key of a class.", touch: "Tap a photo to leave it out, then tap its class." },
  measure: { title: () => "What does this photo show?", hint: "A random photo. Its label is hidden, so that your answer is fair." },
  doubtful: { title: () => "Which labels are wrong?", hint: "The least sure first. Press the letters of wrong ones, then their class.", touch: "The least sure first. Tap wrong ones, then their class." },
  "named-class": { title: () => `Do you see ${state.classes[question.class]} here?`, hint: "Press the letters of the photos that show it.", touch: "Tap the photos that show it." },
};
const ENDS = {
  groups: ["All groups are named.", "Single photos teach on: the least sure first, or random ones that measure."],
  measure: ["Every random photo is answered.", "The number above rests on them alone."],
  doubtful: ["No label is in doubt.", "Measure tells how many labels are right."],
};

// Show

const kind = () => (question.kind === "named-class" ? "named-class" : view);

/** Show the next question of a view. */
export function load(name, focus = true) {
  guarded(async () => {
    const next = await asked(`question?view=${name}`);
    show(name, next, focus);
  });
}

export function leave() {
  showing = false;
  question = null;
  tiles = [];
}

function show(name, next, focus = true) {
  view = name;
  question = next.question;
  showing = true;
  tiles = question ? question.photos.map(tile) : [];
  find("view").replaceChildren(...(question ? body() : end()));
  find("side").hidden = !question;
  find("confirm").hidden = !["doubtful", "named-class"].includes(question && kind());
  find("none").hidden = find("unsure").hidden = question?.kind === "named-class";
  find("unsure").querySelector("span").textContent = view === "groups" ? "Mixed" : "Cannot tell";
  showLikely(question?.likely ?? []);
  labelConfirm();
  if (focus) focusFirst();
  preload(next.ahead ?? []);
}

function body() {
  const { title, hint, touch = hint } = ASKS[kind()];
  const skipping = button("Skip", "", skip, "link skip");
  const head = made("div", { className: "asking" }, made("h1", {}, question.text ?? title()), skipping, made("p", { className: "keys" }, hint), made("p", { className: "touch" }, touch));
  const sheet = made("div", { className: `tiles ${kind()}` }, tiles);
  if (view === "measure") sheet.className = "single";
  return [head, sheet, ...(view === "measure" ? [tally()] : []), acts()];
}

function acts() {
  const left = view === "doubtful" && state.doubtful !== undefined ? [made("span", { className: "fine" }, `${state.doubtful} doubtful of ${state.photos}`)] : [];
  return made("div", { className: "acts" }, button("Enlarge", "z", () => enlarge(), "button plain"), button("Skip", "s", skip, "button plain"), ...left);
}

function end() {
  const [title, text] = ENDS[view];
  const others = VIEWS.filter((other) => other.name in ENDS && other.name !== view && !(other.name === "groups" && !state.groupsLeft));
  return [made("div", { className: "end" }, made("h1", {}, title), made("p", {}, text),
    made("div", { className: "acts" }, others.map((other) => button(other.title, other.key, () => go(other.name))),
      button("Finish", "x", () => go("finish"), "button primary")))];
}

function tally() {
  const { answers, right, needed } = state.measured ?? { answers: 0, right: 0, needed: RANDOM };
  const pips = Array.from({ length: Math.min(answers, 60) }, (_, at) => made("i", { className: at < right ? "" : "wrong" }));
  const frozen = state.measureFrozen ? " These answers teach once you leave this view." : "";
  const then = needed ? `${needed} more, and the number above rests on these alone.` : "The number above rests on these alone.";
  return made("div", { className: "tally" }, made("span", { className: "pips", ariaHidden: "true" }, pips),
    ...(answers ? [made("span", {}, made("b", {}, `${right} of ${answers}`), " random photos had the right label.")] : []), made("span", {}, then + frozen));
}

function tile(photo, at) {
  const image = picture(photo.index);
  if (view === "measure") image.src = `image/${photo.index}`;
  const element = made("button", { type: "button", className: "tile", onclick: () => press(element, false) }, image);
  Object.assign(element.dataset, { photo: photo.index, mark: "" });
  const many = view !== "measure";
  if (many) element.append(made("kbd", {}, TILE_KEYS[at]));
  element.append(made("span", { className: "told" }), ...tags(photo));
  image.addEventListener("error", () => { mark(element, "gone"); skipGone(); });
  element.photo = photo;
  element.letter = many ? ` ${TILE_KEYS[at]}` : "";
  name(element);
  return view === "doubtful" && question.kind === "sheet" ? made("figure", {}, element, caption(photo)) : element;
}

function tags({ doubtful, others }) {
  const hollow = made("span", { className: "dot hollow" });
  const series = others ? [made("span", { className: "tag more", title: "photos of the same series" }, `+ ${others}`)] : [];
  return view === "groups" && doubtful ? [...series, made("span", { className: "tag" }, hollow, made("span", {}, "doubtful"))] : series;
}

function caption({ label, confidence }) {
  return made("figcaption", {}, made("span", { className: `dot hollow k${hue(label)}` }), made("span", { className: "label", title: state.classes[label] }, state.classes[label]),
    ...(confidence === undefined ? [] : [made("span", { className: "sure" }, `${percent(100 * confidence)} % sure`)]));
}

const buttons = () => tiles.map((element) => (element.matches("button") ? element : element.firstElementChild));
const marked = (...marks) => buttons().filter((element) => marks.includes(element.dataset.mark));

export const focusFirst = () => (buttons().find((element) => !element.disabled) ?? find("view").querySelector("button"))?.focus({ preventScroll: true });

function preload(photos) {
  for (const photo of photos) new Image().src = `${view === "measure" ? "image" : "thumb"}/${photo}`;
}

// Marks: "" counts, "out" is left out, "own" waits for a class of its own, "named" has one,
// "chosen" is wrong or shows the class asked for, "saved" is answered, "gone" has no picture.

const SAID = { out: "left out", own: "which class?", saved: "saved", gone: "cannot be shown" };

function mark(element, value, label = null) {
  element.dataset.mark = value;
  element.label = label;
  element.disabled = value === "saved" || value === "gone";
  element.querySelector(".told").textContent = label !== null ? state.classes[label] : SAID[value] ?? "";
  name(element);
  labelConfirm();
}

/** Give a tile its short name, for readers of the screen. */
function name(element) {
  const { photo, letter } = element;
  const is = element.dataset.mark;
  const told = element.querySelector(".told").textContent;
  const parts = [`Photo${letter}`, photo.doubtful && "doubtful", photo.label !== undefined && `labelled ${state.classes[photo.label]}`, is === "chosen" ? "chosen" : told];
  element.setAttribute("aria-label", parts.filter(Boolean).join(", "));
  element.setAttribute("aria-pressed", String(is !== ""));
}

/** Mark a tile; `alone` asks for a class of its own at once. */
function press(element, alone) {
  if (view === "measure") return enlarge(element);
  const is = element.dataset.mark;
  if (kind() !== "groups") return mark(element, is ? "" : "chosen");
  for (const other of marked("own")) if (other !== element) mark(other, "out");
  const steps = { "": "out", out: "own", own: "", named: "" };
  return mark(element, alone && is !== "own" ? "own" : steps[is]);
}

/** Press the tile with this letter; its capital gives the photo a class of its own. */
export function pressTile(key) {
  const element = buttons()[TILE_KEYS.indexOf(key.toLowerCase())];
  if (view === "measure" || !element || element.disabled) return;
  press(element, key !== key.toLowerCase() && kind() === "groups");
}

function labelConfirm() {
  if (!question) return;
  const some = marked("chosen").length;
  find("confirm").firstElementChild.textContent = kind() === "named-class"
    ? some ? `${counted(some, "photo")} show${some === 1 ? "s" : ""} it` : "None of them"
    : marked("chosen", "saved").length ? "All other labels are right" : "All labels are right";
  find("confirm").disabled = kind() !== "named-class" && some > 0;
}

// Answers

/** Answer the question with a class, or with "none" or "unsure". */
export function answer(how, label = null) {
  if (!question) return;
  const [alone] = marked("own");
  if (alone && how === "class") mark(alone, "named", label);
  else if (kind() === "doubtful" || kind() === "named-class") correct(how, label);
  else name_(how, label);
}

const said = (how, label) => ({ class: () => `named ${state.classes[label]}.`, none: () => "kept out of all classes.", unsure: () => "noted: nothing was taught." })[how]();

function name_(how, label) {
  const own = marked("named").map((element) => toMark(element, "class", element.label));
  const out = marked("out", "own").map((element) => toMark(element, "unsure"));
  const rest = marked("").map((element) => toMark(element, how, label));
  save([...rest, ...own, ...out], `${counted(rest.length, "photo")} ${said(how, label)}`);
}

/** Correct the chosen tiles; they stay where they are until all others are confirmed. */
function correct(how, label) {
  const chosen = marked("chosen");
  if (!chosen.length) return;
  save(chosen.map((element) => toMark(element, how, label)), `${counted(chosen.length, "label")} corrected.`, () => {
    for (const element of chosen) mark(element, "saved", label);
    if (marked("").length) focusFirst();
    return marked("").length > 0;
  });
}

/** Confirm all other labels, or say which photos show the class that was asked for. */
export function confirm() {
  if (!question || find("confirm").hidden || find("confirm").disabled) return;
  const shows = kind() === "named-class";
  const marks = marked(shows ? "chosen" : "").map((element) => toMark(element, "class", shows ? question.class : element.photo.label));
  save(marks, shows ? `${counted(marks.length, "photo")} named ${state.classes[question.class]}.` : `${counted(marks.length, "label")} confirmed.`);
}

export function skip() {
  if (question) save([], "Skipped.", undefined, []);
}

/** A question without a picture left is skipped. */
function skipGone() {
  if (question && marked("gone").length === tiles.length) skip();
}

const toMark = (element, how, label = null) => ({ photo: element.photo.index, kind: how, ...(label === null ? {} : { class: label }) });

/** Save marks, and show the next question unless `stays` keeps this one. */
function save(marks, sentence, stays = () => false, seen = buttons().filter((element) => element.dataset.mark !== "gone").map((element) => element.photo.index)) {
  const name_ = view;
  guarded(async () => {
    const reply = await asked("answer", { question: question.id, view: name_, marks, seen });
    accept(reply.state);
    say(sentence);
    if (!stays()) show(name_, reply.next);
  });
}

/** Undo the last answer, and show its question again; return the name of its view. */
export function undo(enter) {
  if (!state.canUndo) return;
  guarded(async () => {
    const reply = await asked("withdraw", {});
    accept(reply.state);
    say("Undone. The labels are as before that answer.");
    enter(reply.view);
    if (reply.view in ENDS) show(reply.view, reply);
  });
}

// A view that had nothing left asks again once the model has learned.
onState(() => {
  if (!showing) return;
  if (!question) load(view, false);
  else if (view === "measure") find("view").querySelector(".tally")?.replaceWith(tally());
});

// Full size

/** Show a photo in full size, with its name; arrows go to the others. */
export function enlarge(element = document.activeElement) {
  if (!question) return;
  const at = Math.max(0, buttons().indexOf(element));
  const shown = question.photos[at];
  const image = made("img", { src: `image/${shown.index}`, alt: `Photo ${at + 1} in full size` });
  open(shown.name + (shown.others ? ` + ${shown.others} more` : ""), "zoom", image);
  find("dialog").at = at;
}

export function step(by) {
  const at = find("dialog").at + by;
  if (buttons()[at]) enlarge(buttons()[at]);
}
