// The last view: the result, how far to trust it, what to do next.

import { counted, curve, find, made, picture, showFor, tenMore } from "./dom.js";
import { bySize } from "./classes.js";
import { readPoints } from "./map.js";
import { accept, asked, guarded, onState, state } from "./server.js";

const SHOWN = 7; // classes with a pile of photos
const ways = [...document.querySelectorAll("[data-way]")];
const writers = [...document.querySelectorAll("[data-output]")];
let photos = []; // label of each photo

/** Show the view, and write the run if answers have come since the last one. */
export const load = () => guarded(async () => {
  showFor("finish");
  show();
  find("headline").focus();
  accept(await asked("state"));
  await showPhotos();
  if (state.finished || !state.answered) return;
  await write();
  await showPhotos();
});

async function showPhotos() {
  photos = await readPoints();
  show();
}

async function write() {
  find("written").replaceChildren("Writing…");
  const reply = await asked("finish", {}).finally(() => find("written").replaceChildren());
  accept(reply.state);
}

function result() {
  const { estimate, zeroShot } = state;
  const more = tenMore(state);
  const isEnough = more === "less than a point";
  if (estimate.source === "unknown") return ["Finish here, or go on.", "Nobody knows yet how many labels are right."];
  const before = zeroShot === null ? "" : `Zero-shot CLIP had ${Math.round(zeroShot)} % on the same answers. `;
  const after = more ? ` Ten more answers are expected to bring ${more}${isEnough ? ": a good place to stop." : "."}` : "";
  return [`${isEnough ? "Done." : "Finish here, or go on."} About ${Math.round(estimate.value)} % of the labels are right.`,
    `${before}The true value is probably between ${Math.round(estimate.low)} and ${Math.round(estimate.high)} %.${after}`];
}

function show() {
  [find("headline").textContent, find("trust").textContent] = result();
  find("course").replaceChildren(...(state.history.length ? [curve(state, 500, 130, true)] : []));
  const labels = bySize().filter((label) => state.counts[label]);
  const rest = labels.length > SHOWN ? [made("li", { className: "rest" }, `and ${counted(labels.length - SHOWN, "more class").replace("classs", "classes")}`)] : [];
  find("piles").replaceChildren(...labels.slice(0, SHOWN).map(pile), ...rest);
  const folder = state.finished && made("p", {}, "All labels are saved in ", made("code", {}, state.finished.folder), ".");
  find("written").replaceChildren(...(folder ? [folder] : []));
  for (const way of ways) way.querySelector("code").textContent = state.commands[way.dataset.way];
  writers.forEach(name);
}

/** Name the place of a button before it writes there, and after. */
function name(button) {
  const place = state.outputs[button.dataset.output];
  const isWritten = button.dataset.written === `${place} ${state.revision}`;
  button.hidden = !place;
  button.disabled = isWritten;
  button.textContent = `${isWritten ? "Written to" : "Write to"} ${place}`;
}

function pile(label) {
  const three = [...photos.keys()].filter((photo) => photos[photo].label === label).slice(0, 3);
  return made("li", {}, made("span", {}, three.map(picture)), made("b", {}, state.classes[label]), made("small", {}, counted(state.counts[label], "photo")));
}

for (const way of ways) {
  way.querySelector(".command button").onclick = async ({ target }) => {
    await navigator.clipboard.writeText(way.querySelector("code").textContent);
    target.textContent = "Copied";
  };
}

for (const button of writers) {
  button.onclick = () => guarded(async () => {
    button.disabled = true;
    const reply = await asked("write", { output: button.dataset.output }).finally(() => name(button));
    button.dataset.written = `${reply.path} ${reply.state.revision}`;
    accept(reply.state);
  });
}

onState(() => { if (document.body.dataset.view === "finish") show(); });
