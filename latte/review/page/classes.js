// The classes beside the photos: their keys, bars that move, the search.

import { copied, fill, find } from "./dom.js";
import { onState, state } from "./server.js";

const KEYS = "123456789pqr";
const ENTER = "↵";
const LIKELY = 9; // classes with a key where not all have one

const rows = []; // one button per class, in label order
let likely = []; // classes of the shown question, likeliest first
let shown = ""; // order of the list

function show(row, label) {
  const [count, before] = [state.counts[label], state.zeroShotCounts[label]];
  const share = 100 / Math.max(1, ...state.counts, ...state.zeroShotCounts);
  const change = `${count > before ? "+" : "−"}${Math.abs(count - before)}`;
  fill(row, { ".name": state.classes[label], b: count, i: count === before ? "" : change });
  row.title = state.classes[label];
  row.className = `class ${state.hues[label]}`;
  row.dataset.label = label;
  row.querySelector(".bar").setAttribute("width", Math.max(count ? 1 : 0, count * share));
  row.querySelector(".tick").setAttribute("x", Math.max(0, before * share - 0.9));
}

onState(() => {
  while (rows.length < state.classes.length) rows.push(copied("class"));
  rows.forEach(show);
  arrange();
});

/** Return whether somebody is typing a class's name, perhaps before the question is there. */
export const isTyping = () => document.activeElement === find("search");

/** Show the likeliest classes of a question first. */
export function showLikely(labels) {
  likely = labels.slice(0, LIKELY);
  if (!isTyping()) find("search").value = "";
  arrange();
}

// Names that differ in case, in Unicode form or in "_" for a space are the same.
const plain = (name) => name.trim().normalize("NFC").toLowerCase().replaceAll("_", " ");

/** Return the classes whose name has the typed letters, the nearest first. */
function matches(typed) {
  const wanted = plain(typed);
  const ranks = state.classes.map((exact) => {
    const name = plain(exact);
    return [exact === typed, name === wanted, name.startsWith(wanted), name.includes(wanted)]
      .indexOf(true);
  });
  const found = [...rows.keys()].filter((label) => ranks[label] >= 0);
  return found.sort((one, other) => ranks[one] - ranks[other]);
}

/** Put the rows in order, with their keys. Rows that stay are not touched, so their bars move. */
function arrange() {
  const typed = find("search").value.trim();
  const isMany = rows.length > KEYS.length;
  const first = typed ? matches(typed) : isMany ? likely : [...rows.keys()];
  const order = typed ? first : [...new Set([...first, ...rows.keys()])];
  const keys = typed ? ENTER : KEYS;
  rows.forEach((row, label) => fill(row, { kbd: keys[first.indexOf(label)] ?? "" }));
  if (order.join() !== shown) find("classes").replaceChildren(...order.map((label) => rows[label]));
  shown = order.join();
  find("side").classList.toggle("many", isMany);
  const found = first.length ? `Enter names ${state.classes[first[0]]}` : "No class has such a name";
  find("found").textContent = typed ? found : "";
}

/** Choose the class with this key, if one has it. */
export function pressClass(key) {
  rows.find((row) => row.querySelector("kbd").textContent === key)?.click();
}

/** Handle a key in the search field: Enter takes the nearest class, Escape leaves the field. */
export function typedKey(key) {
  if (key !== "Enter" && key !== "Escape") return false;
  if (key === "Enter") pressClass(ENTER);
  find("search").value = "";
  find("search").blur();
  arrange();
  return true;
}

find("search").addEventListener("input", arrange);
