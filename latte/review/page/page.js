"use strict";
// Names come from untrusted files: they are only ever set as text, never as HTML.

const find = (id) => document.getElementById(id);
const FOUND = 12; // largest number of classes that a search shows
const TILE_KEYS = "abcdefghijkl";
const CLASS_KEYS = "123456789pqr";
let names = [];
let tasks = {};
let state = null; // the reply of the server that is shown
let busy = false;
let teaching = false;
let skipped = 0;
const waiting = []; // key presses and clicks, until the answer before them is saved
const past = JSON.parse(sessionStorage.getItem(location.pathname) || "[]"); // times of the answers to undo

async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  const failed = path === "answers" ? "Not saved: " : "";
  const reply = await fetch(path, options).catch(() => {
    throw new Error(`${failed}the server does not answer`);
  });
  if (!reply.ok) throw new Error(failed + await reply.text());
  return reply.json();
}

async function guarded(work) {
  busy = true;
  try {
    await work();
    find("error").hidden = true;
  } catch (error) {
    find("error").textContent = error.message;
    find("error").hidden = false;
    waiting.length = 0; // they were meant for the questions after this one
  } finally {
    busy = false;
  }
  while (!busy && waiting.length) waiting.shift()();
}

function whenSaved(action) {
  if (teaching) return;
  if (busy) waiting.push(action);
  else action();
}

function made(tag, text, properties = {}) {
  const element = document.createElement(tag);
  element.append(text);
  return Object.assign(element, properties);
}

function button(key, text, action) {
  const element = made("button", "", { type: "button" });
  if (key) element.append(made("kbd", key), " ");
  element.append(text);
  element.addEventListener("click", action);
  return element;
}

// Places and questions

const place = (task) => ({
  task,
  label: task === "images" && find("class").value !== "" ? Number(find("class").value) : null,
  skip: task === "images" ? skipped : 0,
});

const load = (task) => guarded(async () => show(await call("question", place(task))));

function choose(task, skip = 0) {
  skipped = skip;
  load(task);
}

function show(next) {
  state = next;
  const { task, question } = next;
  for (const element of find("tasks").children) element.setAttribute("aria-pressed", String(element.dataset.task === task));
  [find("gain").textContent = ""] = next.result;
  find("accuracy").textContent = next.result.slice(1).join("\n");
  find("note").textContent = next.note;
  progress();
  find("asking").hidden = question === null;
  find("comparison").hidden = true;
  find("asking").dataset.task = task;
  find("limit").hidden = task !== "images";
  find("done").hidden = question !== null || Boolean(next.note);
  find("done").textContent = task === "images" && skipped ? "No images are left after the skipped ones." : "There is nothing left to ask in this task.";
  if (question === null) return;
  find("prompt").textContent = tasks[task].prompt;
  const isSheet = task !== "evidence";
  find("single").hidden = isSheet;
  find("broken").hidden = true;
  if (!isSheet) {
    find("image").src = `image/${question.images[0].row}`;
    find("name").textContent = titled(question.images[0]);
  }
  find("sheet").replaceChildren(...(isSheet ? question.images.map(tile) : []));
  find("options").replaceChildren(...question.options.map((label, at) => option(label, CLASS_KEYS[at])));
  find("unsure").querySelector("span").textContent = task === "clusters" ? "mixed or cannot tell" : "cannot tell";
  find("confirm").hidden = find("skip").hidden = task !== "images";
  find("naming").hidden = question.options.length === names.length;
}

function progress() {
  const { task, left, answered, unused } = state;
  const kind = task === "clusters" ? "group" : "image";
  find("progress").textContent = `${left} ${kind}${left === 1 ? "" : "s"} left. Answers: ${answered}, not used yet: ${unused}.`;
  find("teach").disabled = teaching || !unused;
  find("undo").disabled = teaching || !past.length;
}

const option = (label, key) => button(key, names[label], () => whenSaved(() => answer("class", label)));

const more = (others) => (others ? `+ ${others} more` : ""); // images of the same series

const titled = ({ name, others }) => [name, more(others)].filter(Boolean).join(" ");

function tile({ row, name, others, label }, at) {
  const picture = made("img", "", { alt: `Image ${at + 1}`, src: `small/${row}` });
  const element = button(TILE_KEYS[at], picture, () => {
    element.setAttribute("aria-pressed", String(element.getAttribute("aria-pressed") === "false"));
  });
  element.dataset.row = row;
  element.setAttribute("aria-pressed", String(state.task === "clusters"));
  const caption = made("figcaption", "");
  if (label !== undefined) {
    element.dataset.label = label;
    caption.append(made("b", names[label], { title: names[label] }));
  }
  caption.append(made("span", name, { title: name }));
  if (others) caption.append(made("span", more(others), { title: "images of the same series" }));
  picture.addEventListener("error", () => close(element, "broken"));
  const zoom = button("", "⤢", () => enlarge(at));
  zoom.setAttribute("aria-label", `Enlarge image ${at + 1}`);
  const figure = made("figure", element);
  figure.append(caption, zoom);
  return figure;
}

function close(element, why) {
  element.setAttribute("aria-pressed", "false");
  element.disabled = true;
  element.dataset.closed = why;
}

const tiles = (selector) => [...find("sheet").querySelectorAll(`button[data-row]${selector}`)];

// Answers

function remember() {
  sessionStorage.setItem(location.pathname, JSON.stringify(past));
}

async function save(marks) {
  const next = await call("answers", { ...place(state.task), marks });
  past.push(next.time);
  remember();
  return next;
}

const mark = (element, kind, label = null) => ({ row: Number(element.dataset.row), kind, label });

function answer(kind, label = null) {
  if (!state || !state.question) return;
  if (state.task === "images") correct(kind, label);
  else guarded(async () => show(await save(state.task === "clusters" ? named(kind, label) : [{ row: state.question.images[0].row, kind, label }])));
}

// Only the selected images of a group get its class. A mixed group gets none.
const named = (kind, label) => tiles("").map((element) => (
  element.getAttribute("aria-pressed") === "true" ? mark(element, kind, label) : mark(element, "unsure")
));

function correct(kind, label) {
  const chosen = tiles("[aria-pressed=true]");
  if (!chosen.length) return;
  guarded(async () => {
    const next = await save(chosen.map((element) => mark(element, kind, label)));
    for (const element of chosen) {
      close(element, "answered");
      element.parentElement.querySelector("b").textContent = `✓ ${kind === "class" ? names[label] : kind === "none" ? "none of the classes" : "cannot tell"}`;
    }
    if (!tiles(":enabled").length) return show(next);
    Object.assign(state, { left: next.left, answered: next.answered, unused: next.unused });
    progress();
  });
}

function confirm() {
  if (!state.question || state.task !== "images") return;
  const marks = tiles(":enabled").map((element) => mark(element, "class", Number(element.dataset.label)));
  skipped += tiles("[data-closed=broken]").length;
  if (marks.length) guarded(async () => show(await save(marks)));
  else load("images");
}

function skip() {
  if (state.question && state.task === "images") choose("images", skipped + tiles(":not([data-closed=answered])").length);
}

function undo() {
  if (!past.length) return;
  guarded(async () => {
    skipped = 0;
    find("class").value = "";
    const next = await call("undo", { time: past[past.length - 1] });
    past.pop();
    remember();
    show(next);
  });
}

// Teaching: a new model, beside the old one

async function teach() {
  if (!state || !state.unused) return;
  teaching = true;
  progress();
  await guarded(async () => {
    let reply = await call("teaching", {});
    while (reply.line !== null) {
      find("line").textContent = `Using your answers: ${reply.line}`;
      find("line").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, 300));
      reply = await call("teaching");
    }
    compare(reply.comparison);
  });
  teaching = false;
  find("line").hidden = true;
  progress();
}

function compare({ lines, images, classes, changes, changed }) {
  state.unused = 0;
  find("asking").hidden = true;
  find("done").hidden = true;
  find("comparison").hidden = false;
  find("lines").textContent = lines.join("\n");
  const share = (number) => made("td", `${number} (${Math.round(100 * number / images)} %)`);
  find("shares").replaceChildren(...classes.map(([label, before, now]) => {
    const row = made("tr", made("th", names[label], { scope: "row" }));
    row.append(share(before), share(now));
    return row;
  }));
  const which = changes > changed.length ? `, of which ${changed.length} are shown` : "";
  find("changes").textContent = `Images with a new label: ${changes}${which}`;
  find("changed").replaceChildren(...changed.map((image) => {
    const figure = made("figure", made("img", "", { alt: "", src: `small/${image.row}` }));
    const caption = made("figcaption", `${names[image.old]} → `);
    caption.append(made("b", names[image.new]), made("span", image.name, { title: image.name }));
    figure.append(caption);
    return figure;
  }));
  find("continue").focus();
}

// Zoom

let enlarged = 0;

function enlarge(at) {
  const image = state.question && state.question.images[at];
  if (!image) return;
  enlarged = at;
  find("zoomed-image").src = `image/${image.row}`;
  find("zoomed-name").textContent = titled(image);
  find("previous").disabled = at === 0;
  find("next").disabled = at === state.question.images.length - 1;
  if (!find("zoomed").open) find("zoomed").showModal();
}

function pressedInZoom(event) {
  const { key } = event;
  if (key === "z") find("zoomed").close();
  else if (key === "ArrowLeft") enlarge(enlarged - 1);
  else if (key === "ArrowRight") enlarge(enlarged + 1);
  else if (TILE_KEYS.includes(key)) enlarge(TILE_KEYS.indexOf(key));
  else return;
  event.preventDefault();
}

// Search of a class by its name

// Names that differ in case, in Unicode form or in "_" for a space are the same.
const plain = (name) => name.trim().normalize("NFC").toLowerCase().replaceAll("_", " ");

function closeness(name, wanted) {
  const text = plain(name);
  const places = [name === wanted, text === plain(wanted), text.startsWith(plain(wanted)), text.includes(plain(wanted))];
  return places.indexOf(true);
}

function search() {
  const wanted = find("search").value.trim();
  const all = wanted ? names.map((name, label) => ({ label, rank: closeness(name, wanted) })) : [];
  const labels = all.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank).map(({ label }) => label);
  find("found").replaceChildren(...labels.slice(0, FOUND).map((label) => button("", names[label], () => {
    clearSearch();
    whenSaved(() => answer("class", label));
  })));
  const pick = labels.length ? `Enter saves “${names[labels[0]]}”` : "no class has such a name";
  find("pick").textContent = wanted && pick;
}

function clearSearch() {
  find("search").value = "";
  search();
}

function typed(event) {
  if (event.key === "Escape") find("search").blur();
  const first = find("found").querySelector("button");
  if (event.key !== "Enter" || !first) return;
  find("search").blur();
  first.click();
}

// Keys

const press = (element) => { if (element && !element.disabled && element.offsetParent) element.click(); };

const COMMANDS = { 0: "none", "-": "unsure", u: "undo", t: "teach", z: "zoom", y: "confirm", s: "skip" };

function act(key) {
  if (COMMANDS[key]) press(find(COMMANDS[key]));
  else if (CLASS_KEYS.includes(key)) press(find("options").children[CLASS_KEYS.indexOf(key)]);
  else if (TILE_KEYS.includes(key)) press(tiles("")[TILE_KEYS.indexOf(key)]);
  else press([...find("tasks").children].find((element) => element.dataset.key === key));
}

let byKey = false; // the class was chosen by keys, and Enter or Escape ends the choice

function chosenByKey(event) {
  byKey = true;
  if (event.key !== "Enter" && event.key !== "Escape") return;
  find("class").blur();
  event.preventDefault();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (find("zoomed").open) pressedInZoom(event);
  else if (event.target === find("search")) typed(event);
  else if (event.target === find("class")) chosenByKey(event);
  else if (event.key === "/" && find("naming").offsetParent) {
    find("search").focus();
    event.preventDefault();
  } else if (/^[0-9a-z-]$/.test(event.key)) {
    // Holding a key down is one answer. What a key means depends on the question shown by then.
    if (!event.repeat) whenSaved(() => act(event.key));
    event.preventDefault();
  }
}

async function start() {
  const about = await call("about");
  names = about.names;
  tasks = about.tasks;
  find("run").textContent = about.run;
  document.title = `Review of ${about.run}`;
  find("tasks").replaceChildren(...Object.entries(tasks).map(([task, { title, key }]) => {
    const element = button(key, title, () => whenSaved(() => choose(task)));
    Object.assign(element.dataset, { task, key });
    return element;
  }));
  names.forEach((name, label) => find("class").add(new Option(name, label)));
  find("class").addEventListener("change", () => {
    if (!byKey) find("class").blur(); // else the next keys would choose a class
    whenSaved(() => choose("images"));
  });
  find("class").addEventListener("pointerdown", () => { byKey = false; });
  const actions = { none: () => answer("none"), unsure: () => answer("unsure"), confirm, skip, undo, teach, continue: () => choose("clusters") };
  for (const [id, action] of Object.entries(actions)) find(id).addEventListener("click", () => whenSaved(action));
  // With the key, the zoom begins at the image that has the focus.
  for (const id of ["zoom", "image"]) find(id).addEventListener("click", () => enlarge(Math.max(0, tiles("").indexOf(document.activeElement))));
  find("previous").addEventListener("click", () => enlarge(enlarged - 1));
  find("next").addEventListener("click", () => enlarge(enlarged + 1));
  for (const id of ["close", "zoomed-image"]) find(id).addEventListener("click", () => find("zoomed").close());
  find("search").addEventListener("input", search);
  find("image").addEventListener("error", () => { find("broken").hidden = false; });
  document.addEventListener("keydown", pressed);
  const label = names.indexOf(decodeURIComponent(location.hash.slice(1)));
  if (label >= 0) find("class").value = label;
  choose(label >= 0 ? "images" : "clusters");
}

start();
