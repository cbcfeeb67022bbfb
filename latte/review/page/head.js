// The head of the page: one number with its uncertainty, one quiet line, and what stands behind them.

import { counted, curve, find, made, picture, tenMore } from "./dom.js";
import { asked, guarded, onState, state } from "./server.js";

let said = "";

const isKnown = () => state.estimate.source !== "unknown";

const interval = ({ low, high }) => `${Math.round(low)} to ${Math.round(high)} %`;

/** Say what the last answer did, until the next one. */
export function say(sentence) {
  said = sentence;
  showLine();
}

function showLine() {
  const { change, teaching } = state;
  const changed = change?.count ? `${counted(change.count, "label")} changed.` : "";
  const line = teaching.note ?? (teaching.state === "learning" ? "Learning…" : changed);
  find("line").replaceChildren(made("span", { className: "wide" }, said, " "), line);
  find("see").hidden = !changed;
}

function known({ estimate, zeroShot }) {
  const more = tenMore(state)?.replace(/(?<=about |at least )/, "+");
  const before = zeroShot === null ? "" : `, was ${Math.round(zeroShot)} %`;
  const aside = [made("b", {}, `After ${counted(estimate.answers, "answer")}`), before];
  if (more) aside.push(made("br"), "Ten more: ", made("b", {}, more));
  const value = made("span", { className: "value" }, `${Math.round(estimate.value)}`, made("small", {}, " % right"));
  const number = made("span", {}, value, made("span", { className: "interval" }, `probably ${interval(estimate)}`));
  return [curve(state, 208, 52), number, made("span", { className: "aside" }, aside)];
}

const needed = ({ isNear, needed: number }) => (isNear
  ? "It is estimated while you pause"
  : `${counted(number, "random photo")} in Measure give${number === 1 ? "s" : ""} a first estimate`);

function unknown({ estimate }) {
  return [made("span", { className: "unknown" }, made("b", {}, "Accuracy not known yet"), made("br"), needed(estimate))];
}

onState(() => {
  const { name, photos, answered, groupsLeft, estimate } = state;
  document.title = `${name}: review`;
  find("name").textContent = name;
  const left = groupsLeft ? `, ${counted(groupsLeft, "group")} left` : "";
  find("progress").replaceChildren(counted(photos, "photo"), made("span", { className: "wide" }, `, ${answered} answered`), left);
  find("estimate").replaceChildren(...(isKnown() ? known(state) : unknown(state)), made("span", { className: "unseen" }, "How sure is this number?"));
  find("undo").disabled = !state.canUndo;
  showLine();
});

const SOURCES = {
  "left-out": [
    ["Source", "Each answer about a random photo was left out once and guessed from the others."],
    ["Better?", "Measure asks about more random photos and narrows the band."],
  ],
  random: [
    ["Source", "Random photos alone, each scored by the label that it had before its answer."],
    ["Too high?", "No. It may be a little low, because the newest answers have only just taught."],
  ],
};

function facts() {
  const { estimate, zeroShotKnowsNames } = state;
  const names = zeroShotKnowsNames === false ? [["Names", "Plain CLIP hardly knows these names: answers bring most."]] : [];
  if (!isKnown()) return [["Soon", `${needed(estimate)}.`], ["Measure", "Twenty random photos give the best one."], ...names];
  const band = ["Band", `With 95 % confidence, the true value is in ${interval(estimate)}.`];
  return [...SOURCES[estimate.source], band, ...names];
}

/** Explain the number: where it comes from, and in which direction it may be wrong. */
export function explain() {
  const { estimate, zeroShot } = state;
  const before = zeroShot === null ? "" : ` Zero-shot CLIP had ${Math.round(zeroShot)} % on the same answers.`;
  find("how-chart").replaceChildren(...(isKnown() ? [curve(state, 500, 130, true)] : []));
  find("how-number").textContent = isKnown()
    ? `About ${Math.round(estimate.value)} % of the labels are right, from ${counted(estimate.answers, "answer")}.${before}`
    : "Without answers nobody knows how many labels are right.";
  find("how-facts").replaceChildren(...facts().map(([term, text]) => made("div", {}, made("dt", {}, term), made("dd", {}, text))));
  find("how").showModal();
}

const STRIP = 8; // photos of a change that are shown

function flow({ old, new: now, photos }) {
  const arrow = [made("span", { ariaHidden: "true" }, " → "), made("span", { className: "unseen" }, " is now ")];
  return made("section", {},
    made("p", {}, state.classes[old], arrow, made("b", {}, state.classes[now]), made("small", {}, counted(photos.length, "photo"))),
    made("div", { className: "strip" }, photos.slice(0, STRIP).map(picture)));
}

/** Show which labels the last answers changed. */
export const see = () => guarded(async () => {
  const { count, revision } = state.change;
  const { groups } = await asked(`changed?revision=${revision}`);
  find("changes-title").textContent = `${counted(count, "label")} changed`;
  find("flows").replaceChildren(...groups.map(flow));
  find("changes").showModal();
});
