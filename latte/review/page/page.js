// Start of the review page: views and keys.

import { find } from "./dom.js";
import { chosen, editNames, pressClass, typed } from "./classes.js";
import * as finish from "./finish.js";
import { explain, listKeys, makeViews, markView, see, VIEWS } from "./head.js";
import * as map from "./map.js";
import * as questions from "./questions.js";
import { accept, again, asked, guarded, listen, state, whenSaved } from "./server.js";

let view = "";

/** Make a view the shown one, before its content is there. */
function enter(name) {
  if (view === "measure" && name !== "measure" && state.measureFrozen) guarded(async () => accept((await asked("leave", { view })).state));
  questions.leave();
  view = name;
  document.body.dataset.view = name;
  markView(name);
}

function open(name) {
  enter(name);
  if (name === "map") map.load();
  else if (name === "finish") finish.load();
  else questions.load(name);
}

const answer = (kind, label) => {
  if (view === "map") map.answer(kind, label);
  else questions.answer(kind, label);
};

const undo = () => questions.undo((name) => {
  enter(name);
  if (name === "map") map.load();
});

const COMMANDS = {
  0: () => answer("none"), "-": () => answer("unsure"), u: undo, y: questions.confirm, s: questions.skip, z: () => questions.enlarge(),
  x: () => open("finish"), t: editNames, "?": listKeys,
};

function act(key) {
  const target = VIEWS.find((one) => one.key === key);
  if (target) open(target.name);
  else if (COMMANDS[key]) COMMANDS[key]();
  else if ("123456789pqr".includes(key)) pressClass(key);
  else if (questions.TILE_KEYS.includes(key.toLowerCase())) questions.pressTile(key);
}

function pressedInDialog(event) {
  if (event.target.matches("input")) return;
  if (find("dialog").dataset.kind !== "zoom") return;
  if (event.key === "z") find("dialog").close();
  else if (event.key === "ArrowLeft") questions.step(-1);
  else if (event.key === "ArrowRight") questions.step(1);
  else return;
  event.preventDefault();
}

function pressed(event) {
  const { key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (find("dialog").open) return pressedInDialog(event);
  if (event.target === find("search")) return typed(event);
  if (view === "map" && event.target.id === "over" && map.pressed(key)) return event.preventDefault();
  if (key === "/" && find("search").offsetParent) find("search").focus();
  else if (/^[0-9a-zA-L?-]$/.test(key)) {
    // Holding a key down is one answer. What a key means depends on the question shown by then.
    if (!event.repeat) whenSaved(() => act(key));
  } else return;
  event.preventDefault();
}

async function start() {
  accept(await asked("state"));
  makeViews((name) => whenSaved(() => open(name)));
  chosen.name = (label) => whenSaved(() => answer("class", label));
  chosen.point = map.point;
  const clicks = {
    finish: COMMANDS.x, "finish-touch": COMMANDS.x, undo, confirm: COMMANDS.y, none: COMMANDS[0], unsure: COMMANDS["-"],
  };
  for (const [id, action] of Object.entries(clicks)) find(id).addEventListener("click", () => whenSaved(action));
  const others = { estimate: explain, help: listKeys, names: editNames, again, see: () => see(undo), close: () => find("dialog").close() };
  for (const [id, action] of Object.entries(others)) find(id).addEventListener("click", action);
  document.addEventListener("keydown", pressed);
  find("dialog").addEventListener("click", (event) => { if (event.target === find("dialog")) find("dialog").close(); });
  listen();
  open("groups");
}

guarded(start);
