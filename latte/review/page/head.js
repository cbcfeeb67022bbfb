// The head of the page: one number with its uncertainty, the views, one quiet line.

import { button, counted, curve, find, made, percent, tenMore } from "./dom.js";
import { asked, guarded, onState, state } from "./server.js";

export const VIEWS = [
  { name: "groups", key: "n", title: "Name groups" },
  { name: "measure", key: "m", title: "Measure" },
  { name: "doubtful", key: "o", title: "Doubtful" },
  { name: "map", key: "v", title: "Map" },
];

let said = "";
let opener = () => {}; // what opens a view

/** Open a view by its name. */
export const go = (name) => opener(name);

/** Draw the buttons of the views; `opens` opens a view by its name. */
export function makeViews(opens) {
  opener = opens;
  find("views").replaceChildren(...VIEWS.map(({ name, key, title }) => {
    const element = button(title, key, () => go(name), "tab");
    element.dataset.view = name;
    return element;
  }));
}

export function markView(name) {
  for (const element of find("views").children) {
    if (element.dataset.view === name) element.setAttribute("aria-current", "page");
    else element.removeAttribute("aria-current");
  }
}

/** Say what the last answer did, until the next one. */
export function say(sentence) {
  said = sentence;
  showLine();
}

function showLine() {
  const changed = state.change?.count ? `${counted(state.change.count, "label")} changed.` : "";
  find("line").replaceChildren(made("span", { className: "wide" }, said, said && changed ? " " : ""), changed);
  find("see").hidden = !changed;
}

// The number

function known({ estimate, zeroShot }) {
  const answers = counted(estimate.answers, "answer");
  const more = tenMore(state);
  const before = zeroShot === null ? "" : `, was ${percent(zeroShot)} %`;
  const aside = made("span", { className: "aside" }, "After ", made("b", {}, answers), before);
  if (more) aside.append(made("br"), "Ten more: ", made("b", {}, more.replace(/(?<=about |at least )/, "+")));
  return [curve(state, 208, 52), made("span", {},
    made("span", { className: "value" }, String(percent(estimate.value)), made("small", {}, " % right")),
    made("span", { className: "interval" }, `probably ${interval(estimate)}`)), aside];
}

const interval = ({ low, high }) => `${percent(low)} to ${percent(high)} %`;

function unknown({ estimate }) {
  return [made("span", { className: "unknown" }, made("b", {}, "Accuracy not known yet"), made("br"),
    `${counted(estimate.needed, "answer")} more ${estimate.needed === 1 ? "is" : "are"} enough to estimate it`)];
}

const isKnown = () => state.estimate.source !== "unknown";

function showHead() {
  find("name").textContent = state.name;
  document.title = `${state.name}: review`;
  const left = state.groupsLeft ? [counted(state.groupsLeft, "group") + " left"] : [];
  const answered = made("span", { className: "wide" }, `, ${state.answered} answered`);
  find("progress").replaceChildren(counted(state.photos, "photo"), answered, ...left.map((text) => `, ${text}`));
  const spoken = isKnown() ? `${percent(state.estimate.value)} % right, probably ${interval(state.estimate)}` : "Accuracy not known yet";
  find("estimate").setAttribute("aria-label", `${spoken}. How sure is this number?`);
  find("estimate").replaceChildren(...(isKnown() ? known(state) : unknown(state)));
  find("undo").disabled = !state.canUndo;
  showLine();
}

onState(showHead);

// Dialogs of the head

/** Show a dialog with this title and content. */
export function open(title, kind, ...content) {
  find("dialog-title").textContent = title;
  find("dialog").dataset.kind = kind;
  find("dialog-body").replaceChildren(...content);
  if (!find("dialog").open) find("dialog").showModal();
}

const SOURCES = {
  "left-out": ["Each answer was left out once and guessed from the others.",
    "Perhaps: photos in groups are easier than most. Measure asks about random photos and corrects this."],
  random: ["Random photos alone, each scored by the label that it had before its answer.",
    "No. It is rather a little low, because the newest answers have only just taught."],
};

/** Explain the number: where it comes from, and in which direction it may be wrong. */
export function explain() {
  const entries = (pairs) => made("dl", {}, pairs.map(([term, text]) => made("div", {}, made("dt", {}, term), made("dd", {}, text))));
  const names = state.zeroShotKnowsNames === false ? [["Names", "Plain CLIP hardly knows these names: answers bring most."]] : [];
  if (!isKnown()) {
    open("How sure is this number?", "how", made("p", {}, "Without answers nobody knows how many labels are right."), entries([
      ["Soon", `${counted(state.estimate.needed, "more answer")} give a first estimate.`], ["Measure", "Twenty random photos give the best one."], ...names]));
    return;
  }
  const [source, bias] = SOURCES[state.estimate.source];
  const before = state.zeroShot === null ? "" : ` Zero-shot CLIP had ${percent(state.zeroShot)} % on the same answers.`;
  open("How sure is this number?", "how", made("div", { className: "chart" }, curve(state, 500, 130, true)),
    made("p", {}, `About ${percent(state.estimate.value)} % of the labels are right, from ${counted(state.estimate.answers, "answer")}.${before}`),
    entries([["Source", source], ["Too high?", bias], ["Band", `The true value is between ${interval(state.estimate)} with 95 % confidence.`], ...names]));
}

/** Show which labels the last answers changed. */
export function see(undo) {
  const { count, revision } = state.change;
  guarded(async () => {
    const { groups } = await asked(`changed?revision=${revision}`);
    const close = (action) => () => {
      find("dialog").close();
      action();
    };
    open(`${counted(count, "label")} changed`, "changes", ...groups.map(flow), made("p", { className: "acts" },
      button("Look through the doubtful", "", close(() => go("doubtful"))), button("Undo this answer", "u", close(undo), "button plain")));
  });
}

const STRIP = 8; // photos of a change that are shown

function flow({ old, new: now, photos }) {
  const [before, after] = [old, now].map((label) => state.classes[label]);
  return made("section", { className: "flow" },
    made("p", {}, `${before} `, made("span", { ariaHidden: "true" }, "→"), made("span", { className: "unseen" }, "is now"), " ",
      made("b", {}, after), made("small", {}, counted(photos.length, "photo"))),
    made("div", { className: "strip" }, photos.slice(0, STRIP).map((photo) => made("img", { src: `thumb/${photo}`, alt: "" }))));
}

const KEYS = [
  ["1 to 9, p q r", "name the photos"], ["/", "find a class, Enter names"], ["a to l", "leave a photo out, or mark it"],
  ["A to L", "give one photo a class of its own"], ["0", "none of the classes"], ["-", "mixed, or cannot tell"], ["y", "all other labels are right"],
  ["s", "skip"], ["u", "undo, any number of steps"], ["z", "full size and name"], ["n m o v", "views"], ["x", "finish"],
  ["t", "rename or add classes"], ["← → ↑ ↓", "map: walk, space selects"], ["+", "map: add ten neighbours"], ["< >", "map: zoom out, in"], ["Esc", "map: clear the selection"],
];

export function listKeys() {
  open("Keys", "keys", made("dl", {}, KEYS.map(([keys, text]) => made("div", {}, made("dt", {}, made("kbd", {}, keys)), made("dd", {}, text)))));
}
