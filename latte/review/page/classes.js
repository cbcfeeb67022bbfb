// The classes beside the photos: their keys, bars that move, the search.

import { drawn, find, made } from "./dom.js";
import { onState, state } from "./server.js";

const KEYS = "123456789pqr";
const HUES = ["7", "1", "2", "3", "6", "5", "4", "0"]; // with more classes, the seven largest have one
const LIKELY = 9; // classes with a key where not all have one

const rows = []; // one button per class, in label order
const hues = new Map(); // colour of a class, which it keeps while it is among the largest
let likely = []; // classes of the shown question, likeliest first
let shown = ""; // order of the list

/** What a click on a class does, and the pointer on it. */
export const chosen = { name: () => {}, point: () => {} };

const isMany = () => state.classes.length > KEYS.length;

/** Return the name of a class's colour; "kx" is grey. */
export const hue = (label) => `k${hues.get(label) ?? "x"}`;

/** Return labels, the largest class first. */
export const bySize = () => [...state.counts.keys()].sort((a, b) => state.counts[b] - state.counts[a]);

function colour() {
  const most = state.counts.length > HUES.length ? bySize().slice(0, HUES.length - 1) : [...state.counts.keys()];
  for (const label of hues.keys()) if (!most.includes(label)) hues.delete(label);
  const free = HUES.filter((name) => ![...hues.values()].includes(name));
  for (const label of most) if (!hues.has(label)) hues.set(label, free.shift());
}

function makeRow(label) {
  const bar = drawn("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawn("rect", { class: "rail", width: 100, height: 6, rx: 3 }), drawn("rect", { class: "bar", height: 6 }),
    drawn("rect", { class: "tick", y: -2, width: 0.9, height: 10 }));
  const [onpointerenter, onpointerleave] = [label, null].map((pointed) => () => chosen.point(pointed));
  return made("button", { type: "button", onclick: () => chosen.name(label), onpointerenter, onpointerleave },
    made("kbd"), made("span", { className: "dot" }), made("span", { className: "name" }),
    made("span", { className: "count" }, made("b"), made("i")), bar);
}

function fill(row, label, largest) {
  const [count, before] = [state.counts[label], state.zeroShotCounts[label] ?? 0];
  row.className = `class ${hue(label)}`;
  row.title = row.querySelector(".name").textContent = state.classes[label];
  row.querySelector("b").textContent = count;
  row.querySelector("i").textContent = count === before ? "" : `${count > before ? "+" : "−"}${Math.abs(count - before)}`;
  row.querySelector(".bar").setAttribute("width", Math.max(count ? 1 : 0, count / largest * 100));
  row.querySelector(".tick").setAttribute("x", Math.max(0, before / largest * 100 - 0.9));
}

onState(() => {
  while (rows.length < state.classes.length) rows.push(makeRow(rows.length));
  colour();
  const largest = Math.max(1, ...state.counts, ...state.zeroShotCounts);
  rows.forEach((row, label) => fill(row, label, largest));
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
  const tests = [(name) => name === typed, (name) => plain(name) === wanted,
    (name) => plain(name).startsWith(wanted), (name) => plain(name).includes(wanted)];
  const ranked = state.classes.map((name, label) => ({ label, rank: tests.findIndex((test) => test(name)) }));
  return ranked.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank).map(({ label }) => label);
}

/** Put the rows in order, with their keys. Rows that stay are not touched, so that their bars move. */
function arrange() {
  const typed = find("search").value.trim();
  const all = [...rows.keys()];
  const first = isMany() ? likely : all;
  const order = typed ? matches(typed) : [...first, ...all.filter((label) => !first.includes(label))];
  const keys = typed ? ["↵"] : KEYS.slice(0, first.length);
  order.forEach((label, at) => { rows[label].querySelector("kbd").textContent = keys[at] ?? ""; });
  rows.forEach((row, label) => row.classList.toggle("last", isMany() && !typed && label === first[first.length - 1]));
  if (order.join() !== shown) find("classes").replaceChildren(...order.map((label) => rows[label]));
  shown = order.join();
  find("finder").hidden = !isMany();
  find("side").classList.toggle("many", isMany());
  find("classes").classList.toggle("likely", isMany() && !typed && first.length > 0);
  const nearest = order.length ? `Enter names ${state.classes[order[0]]}` : "No class has such a name";
  find("found").textContent = typed ? nearest : "";
}

/** Choose the class with this key, if one has it. */
export function pressClass(key) {
  [...find("classes").children].find((row) => row.querySelector("kbd").textContent === key)?.click();
}

/** Handle a key in the search field: Enter takes the nearest class, Escape leaves the field. */
export function typedKey(event) {
  if (event.key !== "Enter" && event.key !== "Escape") return;
  event.preventDefault();
  const takes = event.key === "Enter" && find("search").value.trim();
  if (takes) pressClass("↵");
  find("search").value = "";
  find("search").blur();
  arrange();
}

find("search").addEventListener("input", arrange);
