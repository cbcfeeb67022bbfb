// The classes beside the photos: their keys, bars that move, search, names.

import { button, drawn, find, made } from "./dom.js";
import { open } from "./head.js";
import { accept, asked, guarded, onState, state } from "./server.js";

export const CLASS_KEYS = "123456789pqr";
const HUES = 8; // colours of classes; with more classes, the seven largest have one
const LIKELY = 9; // classes with a key when all have no place

let rows = []; // one button per class, in label order
let likely = []; // classes of the shown question, likeliest first
let shown = []; // classes in the order of the list
const hues = new Map(); // colour of a class, which it keeps while it is among the largest

export const chosen = { name: () => {}, point: () => {} }; // what a click on a class does, and the pointer on it

const isMany = () => state.classes.length > CLASS_KEYS.length;

/** Return the number of a class's colour, or "x" for grey. */
export const hue = (label) => hues.get(label) ?? "x";

function colour() {
  const all = state.counts.map((count, label) => ({ count, label }));
  const most = all.length > HUES ? all.sort((a, b) => b.count - a.count).slice(0, HUES - 1) : all;
  const largest = new Set(most.map(({ label }) => label));
  for (const label of [...hues.keys()]) if (!largest.has(label)) hues.delete(label);
  const free = ["7", "1", "2", "3", "6", "5", "4", "0"].filter((number) => ![...hues.values()].includes(number));
  for (const label of largest) if (!hues.has(label)) hues.set(label, free.shift());
}

function makeRow(label) {
  const bar = drawn("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawn("rect", { class: "rail", width: 100, height: 6, rx: 3 }), drawn("rect", { class: "bar", height: 6 }),
    drawn("rect", { class: "tick", y: -2, width: 0.9, height: 10 }));
  return made("button", {
    type: "button", onclick: () => chosen.name(label),
    onpointerenter: () => chosen.point(label), onpointerleave: () => chosen.point(null),
  }, made("kbd"), made("span", { className: "dot" }), made("span", { className: "name" }), made("span", { className: "count" }, made("b"), made("i")), bar);
}

function fill(label, largest) {
  const [count, before] = [state.counts[label], state.zeroShotCounts[label] ?? 0];
  const row = rows[label];
  row.className = `class k${hue(label)}`;
  row.querySelector(".name").textContent = row.title = state.classes[label];
  row.querySelector("b").textContent = count;
  row.querySelector("i").textContent = count === before ? "" : `${count > before ? "+" : "−"}${Math.abs(count - before)}`;
  row.querySelector(".bar").setAttribute("width", Math.max(count ? 1 : 0, count / largest * 100));
  row.querySelector(".tick").setAttribute("x", Math.max(0, before / largest * 100 - 0.9));
}

function refresh() {
  while (rows.length < state.classes.length) rows.push(makeRow(rows.length));
  colour();
  const largest = Math.max(1, ...state.counts, ...state.zeroShotCounts);
  rows.forEach((_, label) => fill(label, largest));
  arrange();
}

onState(refresh);

/** Show the likeliest classes of a question first, and clear the search. */
export function showLikely(labels) {
  likely = labels;
  find("search").value = "";
  arrange();
}

// Names that differ in case, in Unicode form or in "_" for a space are the same.
const plain = (name) => name.trim().normalize("NFC").toLowerCase().replaceAll("_", " ");

/** Return the classes whose name has the typed letters, the nearest first. */
function matches(typed) {
  const closeness = (name) => [name === typed, plain(name) === plain(typed), plain(name).startsWith(plain(typed)), plain(name).includes(plain(typed))].indexOf(true);
  const ranked = state.classes.map((name, label) => ({ label, rank: closeness(name) }));
  return ranked.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank).map(({ label }) => label);
}

/** Put the rows in order, with their keys; rows that stay in place are not touched, so that bars move. */
function arrange() {
  const typed = find("search").value.trim();
  const first = likely.slice(0, LIKELY);
  const order = !isMany() ? rows.map((_, label) => label)
    : typed ? matches(typed) : [...first, ...rows.map((_, label) => label).filter((label) => !first.includes(label))];
  find("finder").hidden = !isMany();
  find("side").classList.toggle("many", isMany());
  rows.forEach((row) => { row.querySelector("kbd").textContent = ""; });
  order.forEach((label, at) => { rows[label].querySelector("kbd").textContent = keyOf(at, typed); });
  if (order.join() !== shown.join()) find("classes").replaceChildren(...order.map((label) => rows[label]));
  rows.forEach((row, label) => row.classList.toggle("last-likely", isMany() && !typed && label === first[first.length - 1]));
  shown = order;
  find("classes").classList.toggle("likely", isMany() && !typed && first.length > 0);
  find("found").hidden = !typed;
  find("found").textContent = !typed ? "" : order.length ? `Enter names ${state.classes[order[0]]}` : "No class has such a name. Press t to add one.";
}

function keyOf(at, typed) {
  if (!isMany()) return CLASS_KEYS[at];
  if (typed) return at ? "" : "↵";
  return at < Math.min(LIKELY, likely.length) ? CLASS_KEYS[at] : "";
}

/** Choose the class with this key, if one has it. */
export const pressClass = (key) => [...find("classes").children].find((row) => row.querySelector("kbd").textContent === key)?.click();

/** Handle a key in the search field: Enter takes the nearest class, Escape leaves the field. */
export function typed(event) {
  if (event.key !== "Enter" && event.key !== "Escape") return;
  event.preventDefault();
  const nearest = find("classes").firstElementChild;
  const takes = event.key === "Enter" && find("search").value.trim() && nearest;
  find("search").value = "";
  find("search").blur();
  arrange();
  if (takes) nearest.click();
}

find("search").addEventListener("input", arrange);

/** Show a field per class, to rename it, and one field more, to add a class. */
export function editNames() {
  const field = (name, at) => made("label", {}, made("span", {}, at < state.classes.length ? `Class ${at + 1}` : "New class"), made("input", { value: name, autocomplete: "off" }));
  const fields = [...state.classes, ""].map(field);
  const refused = made("p", { className: "refused", role: "alert" });
  const save = async (event) => {
    event.preventDefault();
    const names = fields.map((element) => element.querySelector("input").value.trim());
    if (!names[names.length - 1]) names.pop();
    if (new Set(names.map(plain)).size < names.length || names.includes("")) {
      refused.textContent = "Every class needs a name of its own.";
      return;
    }
    find("dialog").close();
    guarded(async () => accept((await asked("classes", { names })).state));
  };
  const form = made("form", { onsubmit: save }, ...fields, refused, made("p", { className: "acts" }, Object.assign(button("Save names", "↵", null, "button primary"), { type: "submit" })));
  open("Classes", "names", made("p", {}, "Answers go with a class when it is renamed."), form);
}
