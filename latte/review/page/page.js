// Start of the review page: views and keys.

import { counted, find, showFor } from "./dom.js";
import { pressClass, typedKey } from "./classes.js";
import * as finish from "./finish.js";
import { say } from "./head.js";
import * as map from "./map.js";
import * as names from "./names.js";
import * as questions from "./questions.js";
import { accept, asked, guarded, listen, state, whenSaved } from "./server.js";

const VIEWS = { n: "groups", m: "measure", o: "doubtful", v: "map", x: "finish" };

let view = "";

/** Make a view the shown one, before its content is there. */
function enter(name) {
  const left = view;
  questions.leave();
  view = document.body.dataset.view = name;
  for (const tab of find("views").children) tab.ariaCurrent = tab.dataset.view === name ? "page" : null;
  if (left === "measure" && name !== left && state.measureFrozen) {
    guarded(() => asked("leave", {}));
  }
}

function open(name, only = null) {
  enter(name);
  if (name === "map") map.load();
  else if (name === "finish") finish.load();
  else questions.load(name, only);
}

const answer = (kind, label) => (view === "map" ? map : questions).answer(kind, label);

const COMMANDS = {
  0: () => answer("none"),
  "-": () => answer("unsure"),
  y: questions.confirm,
  s: questions.skip,
  t: names.open,
  z: () => questions.enlarge(),
  "?": () => find("keys").showModal(),
  u: () => questions.undo((name) => {
    enter(name);
    if (name === "map") map.load();
  }),
};

function act(key) {
  if (VIEWS[key]) open(VIEWS[key]);
  else if (COMMANDS[key]) COMMANDS[key]();
  else if (view === "map" && map.pressed(key)) return;
  else if (/[1-9pqr]/.test(key)) pressClass(key);
  else questions.pressTile(key);
}

function pressedInZoom(event) {
  if (event.key === "z") find("zoom").close();
  else if (event.key === "ArrowLeft") questions.step(-1);
  else if (event.key === "ArrowRight") questions.step(1);
  else return;
  event.preventDefault();
}

function pressed(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (find("zoom").open) return pressedInZoom(event);
  if (document.querySelector("dialog[open]")) return;
  if (target === find("search")) return typedKey(event);
  if (target.id === "over" && map.pressed(key)) return event.preventDefault();
  if (key === "/" && find("search").offsetParent) find("search").focus();
  // Holding a key down is one answer. What a key means depends on the question shown by then.
  else if (/^[0-9a-zA-L?-]$/.test(key)) {
    if (!event.repeat) whenSaved(() => act(key));
  } else return;
  event.preventDefault();
}

document.addEventListener("keydown", pressed);
document.addEventListener("click", ({ target }) => {
  const row = target.closest(".class");
  if (row) whenSaved(() => answer("class", Number(row.dataset.label)));
  const button = target.closest("[data-key]");
  if (!button) return;
  button.closest("dialog")?.close();
  whenSaved(() => act(button.dataset.key));
});

showFor("");
guarded(async () => {
  accept(await asked("state"));
  listen();
  if (state.earlier) say(`${counted(state.earlier, "earlier answer")} used.`);
  const only = state.classes.indexOf(decodeURIComponent(location.hash.slice(1)));
  if (only < 0) open("groups");
  else open("doubtful", only);
});
