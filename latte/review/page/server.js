// Requests to the server: one at a time, in the order of the keys; a failed one can be sent again.

import { find } from "./dom.js";

/** What the server says about the set: names, counts, the estimate. */
export let state = null;

const GONE = "latte does not answer. All answers are saved.";
const listeners = [];
const waiting = []; // key presses and clicks, until the answer before them is saved
let running = 0; // requests that are not answered yet
let repeated = null; // what "Try again" does

/** A request that failed for a reason that the person can read; `gone` if no server answered. */
class Refused extends Error {
  constructor(message, gone = false) {
    super(message);
    this.gone = gone;
  }
}

/** Call `listener` after each new state. */
export const onState = (listener) => listeners.push(listener);

/** Take a state over, unless a newer one has come meanwhile. */
export function accept(next) {
  if (state && next.revision < state.revision) return;
  state = next;
  // The newest labels are estimated in a pause; until then, the number before stands, with its answers.
  const last = next.history[next.history.length - 1];
  if (last && next.estimate.source === "unknown") next.estimate = { ...last, source: "left-out" };
  const { state: teaching, error } = state.teaching;
  document.body.classList.toggle("learning", teaching === "learning");
  find("learning").hidden = teaching !== "learning";
  if (teaching === "failed") complainOfTeaching(error);
  for (const listener of listeners) listener();
}

function sentence({ what, where, hint }) {
  return `${where ? `${where}: ` : ""}${what}${hint ? `; ${hint}` : ""}`;
}

async function problem(reply) {
  const { error } = await reply.json().catch(() => ({}));
  return error ? sentence(error) : `latte answered with status ${reply.status}`;
}

/** Return the reply to a request. Raises `Refused` with one line for the person. */
export async function call(path, body) {
  const headers = { "content-type": "application/json" };
  const failed = path === "answer" ? "Not saved: " : "";
  const reply = await fetch(path, body && { method: "POST", headers, body: JSON.stringify(body) }).catch(() => {
    throw new Refused(failed ? `${failed}latte does not answer. Your answer is kept here.` : GONE, true);
  });
  if (!reply.ok) throw new Refused(failed + await problem(reply));
  return reply;
}

export const asked = async (path, body) => (await call(path, body)).json();

function complain(message, repeat, kind) {
  repeated = repeat;
  find("failure").dataset.kind = kind;
  find("error").textContent = message;
  find("failure").hidden = false;
}

/** Do one thing with the server; if that fails, say why in one red line and offer to try again. */
export async function guarded(work) {
  count(1);
  try {
    await work();
    find("failure").hidden = true;
  } catch (error) {
    waiting.length = 0; // they were meant for the questions after this one
    if (!(error instanceof Refused)) throw error;
    complain(error.message, () => guarded(work), error.gone ? "gone" : "refused");
  } finally {
    count(-1);
  }
  while (!running && waiting.length) waiting.shift()();
}

function count(by) {
  running += by;
  document.body.dataset.busy = running > 0;
}

/** Do something now, or once the request before it is answered. */
export function whenSaved(action) {
  if (running) waiting.push(action);
  else action();
}

export const again = () => { if (!running) repeated(); };

const reload = () => guarded(async () => accept(await asked("state")));

function complainOfTeaching(error) {
  const teach = () => guarded(async () => accept((await asked("teach", {})).state));
  complain(`Your answers are saved, but not learnt: ${sentence(error)}`, teach, "teaching");
}

/** Listen to what the server learns. The browser connects again by itself. */
export function listen() {
  const events = new EventSource("events");
  const teaching = (next) => accept({ ...state, teaching: next });
  events.addEventListener("learning", () => teaching({ state: "learning" }));
  events.addEventListener("failed", (event) => teaching({ state: "failed", error: JSON.parse(event.data) }));
  for (const name of ["learned", "finished", "state"]) {
    events.addEventListener(name, (event) => accept(JSON.parse(event.data).state));
  }
  events.addEventListener("open", () => { if (!find("failure").hidden && find("failure").dataset.kind === "gone") again(); });
  events.addEventListener("error", () => { if (find("failure").hidden) complain(GONE, reload, "gone"); });
}
