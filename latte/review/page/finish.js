// The last view: the result, how far to trust it, what to do next.

import { button, counted, curve, find, made, percent, picture, tenMore } from "./dom.js";
import { go } from "./head.js";
import { accept, asked, guarded, state } from "./server.js";

const SHOWN = 7; // classes with a pile of photos
let lines = [];
let examples = new Map(); // some photos per class

/** Show the view, and write the run if answers have come since the last one. */
export function load() {
  find("side").hidden = true;
  show();
  find("view").querySelector("h1").focus();
  if (!state.finished) write("run");
  guarded(async () => {
    const data = new DataView(await (await fetch("map")).arrayBuffer());
    examples = new Map();
    for (let photo = 0; photo < data.byteLength / 8; photo++) {
      const label = data.getUint16(photo * 8 + 4, true);
      const some = examples.get(label) ?? [];
      if (some.length < 3) examples.set(label, [...some, photo]);
    }
    show();
  });
}

function write(what) {
  guarded(async () => {
    const reply = await asked("finish", { write: what });
    lines = reply.results.lines;
    accept(reply.state);
    if (document.body.dataset.view === "finish") show();
    if (reply.written) find("written").textContent = `Written: ${reply.written}`;
  });
}

function headline() {
  const { estimate, zeroShot } = state;
  const more = tenMore(state);
  const enough = more === "less than a point";
  if (estimate.source === "unknown") return ["Finish here, or go on.", `Nobody knows yet how many labels are right. ${counted(estimate.needed, "more answer")} give a first estimate.`];
  const before = zeroShot === null ? "" : `Zero-shot CLIP had ${percent(zeroShot)} % on the same answers. `;
  const next = more ? ` Ten more answers are expected to bring ${more}${enough ? ": a good place to stop." : "."}` : "";
  return [`${enough ? "Done." : "Finish here, or go on."} About ${percent(estimate.value)} % of the labels are right.`,
    `${before}The true value is probably between ${percent(estimate.low)} and ${percent(estimate.high)} %.${next}`];
}

function show() {
  const [title, text] = headline();
  const known = state.estimate.source !== "unknown";
  const outputs = state.outputs ?? {};
  const words = made("div", {}, made("h1", { tabIndex: -1 }, title), made("p", {}, text), ...lines.map((line) => made("p", { className: "fine" }, line)),
    made("div", { className: "acts" }, button("Answer more", "n", () => go("groups"))), made("p", { id: "written", role: "status" }));
  find("view").replaceChildren(made("div", { className: "finish" },
    made("div", { className: "result" }, words, made("div", { className: "chart" }, ...(known ? [curve(state, 500, 130, true)] : []))),
    made("ul", { className: "piles" }, piles()),
    made("div", { className: "ways" },
      way("Sort into folders", "Copies each photo into a folder of its class. Doubtful ones go into their own.", state.commands.sort, outputs.sorted, "sorted", "Sort"),
      way("Export labels", "A table of photos, classes and how sure each label is.", state.commands.export, outputs.labels, "labels", "Export"),
      way("Label new photos", "The model knows your classes now, also on photos that it has never seen.", state.commands.predict))));
}

function piles() {
  const labels = [...state.counts.keys()].filter((label) => state.counts[label]).sort((a, b) => state.counts[b] - state.counts[a]);
  const shown = labels.slice(0, SHOWN).map((label) => made("li", {}, made("span", { className: "pile" }, (examples.get(label) ?? []).map((photo) => picture(photo))),
    made("b", {}, state.classes[label]), made("small", {}, counted(state.counts[label], "photo"))));
  return labels.length > SHOWN ? [...shown, made("li", { className: "rest" }, `and ${labels.length - SHOWN} more classes`)] : shown;
}

function way(title, text, command, path, what, verb) {
  const code = made("code", { tabIndex: 0 }, command ?? "");
  const copy = button("Copy", "", async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = "Copied";
  });
  const writing = path ? [made("p", { className: "path" }, made("code", {}, path), button(verb, "", () => write(what)))] : [];
  return made("section", { className: "way" }, made("h2", {}, title), made("p", {}, text), ...writing,
    ...(command ? [made("div", { className: "command" }, code, copy)] : []));
}
