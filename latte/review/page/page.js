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
  if (view === "measure" && name !== view && state.measureFrozen) {
    guarded(() => asked("leave", {}));
  }
  questions.leave();
  view = document.body.dataset.view = name;
  for (const tab of find("views").children) {
    tab.ariaCurrent = tab.dataset.view === name ? "page" : null;
  }
}

function open(name, only = null) {
  enter(name);
  if (name === "map") map.load();
  else if (name === "finish") finish.load();
  else questions.load(name, only);
}

const answer = (kind, label) => (view === "map" ? map : questions).answer(kind, label);

/** Undo the last answer, and show its question again. */
function undo() {
  if (find("undo").disabled) return;
  guarded(async () => {
    const shown = await asked("withdraw", {});
    say("Undone.");
    enter(shown.view);
    if (shown.view === "map") map.load();
    else questions.show(shown.view, shown);
  });
}

const COMMANDS = {
  0: () => answer("none"),
  "-": () => answer("unsure"),
  y: questions.confirm,
  s: questions.skip,
  t: names.open,
  u: undo,
  z: () => questions.enlarge(),
  "?": () => find("keys").showModal(),
};

function act(key) {
  if (VIEWS[key]) open(VIEWS[key]);
  else if (COMMANDS[key]) COMMANDS[key]();
  else if (view === "map" && map.pressed(key)) return;
  else if (/[1-9pqr]/.test(key)) pressClass(key);
  else questions.pressTile(key);
}

/** Do what a key means; return true if it has a meaning here. */
function pressed({ key, target, repeat }) {
  if (find("zoom").open) return questions.pressedInZoom(key);
  if (document.querySelector("dialog[open]")) return false;
  if (target === find("search")) return typedKey(key);
  if (target.id === "over" && map.pressed(key)) return true;
  if (key === "/" && find("search").offsetParent) find("search").focus();
  else if (!/^[0-9a-zA-L?-]$/.test(key)) return false;
  // Holding a key down is one answer. What a key means depends on the question shown by then.
  else if (!repeat) whenSaved(() => act(key));
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (pressed(event)) event.preventDefault();
});

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
  if (only < 0) open(state.first);
  else open("doubtful", only);
});
