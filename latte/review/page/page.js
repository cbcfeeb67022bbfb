"use strict";
// Names come from untrusted files: they are only ever set as text, never as HTML.

const find = (id) => document.getElementById(id);
const SHOWN = 12;
const TILE_KEYS = "abcdefghijklmnopqrstvwxy"; // "u" is undo
let names = [];
let queues = {};
let state = null;
let busy = false;
const past = {};

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  const reply = await fetch(path, options);
  if (!reply.ok) throw new Error(await reply.text());
  return reply.json();
}

async function guarded(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
    find("error").hidden = true;
  } catch (error) {
    find("error").textContent = `Not saved: ${error.message || "the server does not answer"}`;
    find("error").hidden = false;
  } finally {
    busy = false;
  }
}

function keyed(key) {
  const made = document.createElement("button");
  made.type = "button";
  if (key) {
    const sign = document.createElement("kbd");
    sign.textContent = key;
    made.append(sign, " ");
  }
  return made;
}

function small(row, alt) {
  const picture = document.createElement("img");
  picture.alt = alt;
  picture.src = `small/${row}`;
  return picture;
}

function button(label, key, example = null) {
  const made = keyed(key);
  made.dataset.label = label;
  made.append(names[label]);
  if (example !== null) made.append(small(example, "for comparison"));
  made.addEventListener("click", () => answer("class", label));
  return made;
}

function tile(row, at) {
  const made = keyed(TILE_KEYS[at]);
  made.dataset.row = row;
  made.setAttribute("aria-pressed", String(queues[queue()].selected));
  const picture = small(row, `Image ${at + 1}`);
  picture.addEventListener("error", () => {
    made.setAttribute("aria-pressed", "false");
    made.disabled = true;
  });
  made.append(picture);
  made.addEventListener("click", () => {
    made.setAttribute("aria-pressed", String(made.getAttribute("aria-pressed") === "false"));
  });
  return made;
}

const tiles = (pressed) => [...find("sheet").querySelectorAll(`[aria-pressed="${pressed}"]`)].map((one) => Number(one.dataset.row));

function show(next) {
  state = next;
  find("gain").textContent = next.result.map((lines) => lines[0]).join("\n");
  find("accuracy").textContent = next.result.flatMap((lines) => lines.slice(1)).join("\n");
  find("progress").textContent = `${next.answered} answered, ${next.left} left in this task`
    + (next.uses && `. Of all answers: ${next.uses}.`);
  find("note").textContent = next.note;
  const asked = next.question;
  find("asking").hidden = asked === null;
  find("done").hidden = asked !== null || next.left > 0;
  find("undo").disabled = !(past[queue()] || []).length;
  find("search").value = "";
  find("found").replaceChildren();
  if (asked === null) return;
  const grouped = sheet();
  find("prompt").textContent = queues[queue()].prompt;
  for (const one of ["image", "unsure"]) find(one).hidden = grouped;
  for (const one of ["sheet", "mixed"]) find(one).hidden = !grouped;
  find("broken").hidden = true;
  if (!grouped) find("image").src = `image/${asked.rows[0]}`;
  find("sheet").dataset.selected = queues[queue()].selected;
  find("sheet").replaceChildren(...(grouped ? asked.rows.map(tile) : []));
  find("options").replaceChildren(...asked.options.map((label, at) => button(label, String(at + 1), asked.examples[at])));
}

const queue = () => find("queue").value;
const sheet = () => queues[queue()].sheet;
const load = () => guarded(async () => show(await call(`question?queue=${encodeURIComponent(queue())}`)));

function answer(kind, label = null) {
  return guarded(async () => {
    if (!state || !state.question) return;
    const shown = state.question.rows;
    // No image of a mixed group gets an answer.
    const others = !sheet() ? [] : kind === "unsure" ? shown : tiles(false);
    const rows = shown.filter((row) => !others.includes(row));
    const next = await call("answers", { rows, others, kind, label, queue: queue() });
    (past[queue()] ||= []).push(shown);
    show(next);
  });
}

function undo() {
  return guarded(async () => {
    const asked = past[queue()] || [];
    if (!asked.length) return;
    const rows = asked[asked.length - 1];
    const next = await call("answers", { rows, kind: "undo", label: null, queue: queue() });
    asked.pop();
    show(next);
  });
}

function search() {
  const wanted = find("search").value.trim().toLowerCase();
  const all = wanted ? names.map((_, label) => label) : [];
  const labels = all.filter((label) => names[label].toLowerCase().includes(wanted));
  find("found").replaceChildren(...labels.slice(0, SHOWN).map((label) => button(label)));
}

const tileAt = (key) => find("sheet").children[TILE_KEYS.indexOf(key)];

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === find("search")) {
    const first = find("found").querySelector("button");
    if (event.key === "Enter" && first) first.click();
    if (event.key === "Escape") find("search").blur();
    return;
  }
  if (event.target === find("queue")) return;
  const options = find("options").children;
  if (event.key >= "1" && event.key <= "9" && options[event.key - 1]) options[event.key - 1].click();
  else if (event.key === "0") answer("none");
  else if (event.key === "-") answer("unsure");
  else if (event.key === "u") undo();
  else if (tileAt(event.key)) tileAt(event.key).click();
  else if (event.key === "/") find("search").focus();
  else return;
  event.preventDefault();
}

async function start() {
  const about = await call("classes");
  names = about.names;
  find("run").textContent = about.run;
  document.title = `Review of ${about.run}`;
  queues = about.queues;
  for (const [name, { title }] of Object.entries(queues)) find("queue").add(new Option(title, name));
  find("queue").addEventListener("change", load);
  find("none").addEventListener("click", () => answer("none"));
  for (const one of ["unsure", "mixed"]) find(one).addEventListener("click", () => answer("unsure"));
  find("undo").addEventListener("click", undo);
  find("search").addEventListener("input", search);
  find("image").addEventListener("error", () => { find("broken").hidden = false; });
  document.addEventListener("keydown", pressed);
  await load();
}

start();
