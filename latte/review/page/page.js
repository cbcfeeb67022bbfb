"use strict";
// Names come from untrusted files: they are only ever set as text, never as HTML.

const find = (id) => document.getElementById(id);
const SHOWN = 12;
const TILE_KEYS = "abcdefghijkl";
let names = [];
let queues = {};
let state = null;
let busy = false;
const waiting = []; // key presses and choices of a task, until the answer before them is saved
const past = {};

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  const failed = body === undefined ? "" : "Not saved: ";
  const reply = await fetch(path, options).catch(() => {
    throw new Error(`${failed}the server does not answer`);
  });
  if (!reply.ok) throw new Error(failed + await reply.text());
  return reply.json();
}

async function guarded(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
    find("error").hidden = true;
  } catch (error) {
    find("error").textContent = error.message;
    find("error").hidden = false;
    waiting.length = 0; // they were meant for the questions after this one
    if (state) find("queue").value = state.queue;
  } finally {
    busy = false;
  }
  while (!busy && waiting.length) waiting.shift()();
}

function whenSaved(action) {
  if (busy) waiting.push(action);
  else action();
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

function button(label, key, choose) {
  const made = keyed(key);
  made.dataset.label = label;
  made.append(names[label]);
  made.addEventListener("click", choose);
  return made;
}

const option = (label, at) => button(label, String(at + 1), () => answer("class", label));

const match = (label) => button(label, null, () => {
  clearSearch();
  whenSaved(() => answer("class", label));
});

function tile(row, at) {
  const made = keyed(TILE_KEYS[at]);
  made.dataset.row = row;
  made.setAttribute("aria-pressed", "true");
  const picture = document.createElement("img");
  picture.alt = `Image ${at + 1}`;
  picture.src = `small/${row}`;
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
  [find("gain").textContent] = next.result;
  find("accuracy").textContent = next.result.slice(1).join("\n");
  find("progress").textContent = `${next.answered} answered, ${next.left} left in this task`
    + (next.uses && `. Of all answers: ${next.uses}.`);
  find("next").textContent = next.next_step;
  find("note").textContent = next.note;
  const asked = next.question;
  find("asking").hidden = asked === null;
  find("done").hidden = asked !== null || next.left > 0;
  find("undo").disabled = !(past[state.queue] || []).length;
  if (asked === null) return;
  const grouped = sheet();
  find("prompt").textContent = queues[state.queue].prompt;
  for (const one of ["image", "unsure"]) find(one).hidden = grouped;
  for (const one of ["sheet", "mixed"]) find(one).hidden = !grouped;
  find("broken").hidden = true;
  if (!grouped) find("image").src = `image/${asked.rows[0]}`;
  find("sheet").replaceChildren(...(grouped ? asked.rows.map(tile) : []));
  find("options").replaceChildren(...asked.options.map(option));
}

const sheet = () => queues[state.queue].sheet;
const load = () => guarded(async () => show(await call(`question?queue=${encodeURIComponent(find("queue").value)}`)));

function answer(kind, label = null) {
  if (!state || !state.question) return;
  guarded(async () => {
    const shown = state.question.rows;
    // No image of a mixed group gets an answer.
    const others = !sheet() ? [] : kind === "unsure" ? shown : tiles(false);
    const rows = shown.filter((row) => !others.includes(row));
    const next = await call("answers", { rows, others, kind, label, queue: state.queue });
    (past[state.queue] ||= []).push(shown);
    show(next);
  });
}

function undo() {
  const asked = (state && past[state.queue]) || [];
  if (!asked.length) return;
  guarded(async () => {
    const rows = asked[asked.length - 1];
    const next = await call("answers", { rows, kind: "undo", label: null, queue: state.queue });
    asked.pop();
    show(next);
  });
}

// Names that differ in case, in Unicode form or in "_" for a space are the same.
const plain = (name) => name.trim().normalize("NFC").toLowerCase().replaceAll("_", " ");

function closeness(name, wanted) {
  const found = plain(name);
  const places = [name === wanted, found === plain(wanted), found.startsWith(plain(wanted)), found.includes(plain(wanted))];
  return places.indexOf(true);
}

function search() {
  const wanted = find("search").value.trim();
  const all = wanted ? names.map((name, label) => ({ label, rank: closeness(name, wanted) })) : [];
  const labels = all.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank).map(({ label }) => label);
  find("found").replaceChildren(...labels.slice(0, SHOWN).map(match));
  const pick = labels.length ? `Enter saves “${names[labels[0]]}”` : "no class has such a name";
  find("pick").textContent = wanted && pick;
}

function clearSearch() {
  find("search").value = "";
  search();
}

const tileAt = (key) => find("sheet").children[TILE_KEYS.indexOf(key)];

function act(key) {
  const options = find("options").children;
  if (key >= "1" && key <= "9" && options[key - 1]) options[key - 1].click();
  else if (key === "0") answer("none");
  else if (key === "-") answer("unsure");
  else if (key === "u") undo();
  else if (tileAt(key)) tileAt(key).click();
}

function typed(event) {
  if (event.key === "Escape") find("search").blur();
  const first = find("found").querySelector("button");
  if (event.key !== "Enter" || !first) return;
  find("search").blur();
  first.click();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target === find("search")) typed(event);
  else if (event.target === find("queue")) return;
  else if (event.key === "/") {
    find("search").focus();
    event.preventDefault();
  } else if (/^[0-9a-lu-]$/.test(event.key)) {
    // Holding a key down is one answer. What a key means depends on the question shown by then.
    if (!event.repeat) whenSaved(() => act(event.key));
    event.preventDefault();
  }
}

async function start() {
  const about = await call("classes");
  names = about.names;
  find("run").textContent = about.run;
  document.title = `Review of ${about.run}`;
  queues = about.queues;
  for (const [name, { title }] of Object.entries(queues)) find("queue").add(new Option(title, name));
  find("queue").addEventListener("change", () => {
    find("queue").blur(); // else the next keys would choose a task
    whenSaved(load);
  });
  find("none").addEventListener("click", () => answer("none"));
  for (const one of ["unsure", "mixed"]) find(one).addEventListener("click", () => answer("unsure"));
  find("undo").addEventListener("click", undo);
  find("search").addEventListener("input", search);
  find("image").addEventListener("error", () => { find("broken").hidden = false; });
  document.addEventListener("keydown", pressed);
  await load();
}

start();
