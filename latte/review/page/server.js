// Requests to the server: one at a time, in the order of the keys; a failed one can be sent again.

import { find } from "./dom.js";

/** What the server says about the set: names, counts, the estimate. */
export let state = null;

const GONE = "latte does not answer. All answers are saved.";
const listeners = [];
const waiting = []; // key presses and clicks, until the answer before them is saved
let busy = false;
let repeated = null; // the work that "Try again" does

/** Call `listener` with each new state. */
export const onState = (listener) => listeners.push(listener);

/** A request that failed for a reason that the person can read; `gone` if no server answered. */
class Refused extends Error {
  constructor(message, gone = false) {
    super(message);
    this.gone = gone;
  }
}

/** Take a state over, unless a newer one has come meanwhile. */
export function accept(next) {
  if (state && next.revision < state.revision) return;
  state = next;
  for (const listener of listeners) listener(next);
}

async function problem(reply) {
  const { error } = await reply.json().catch(() => ({ error: null }));
  if (!error) return `latte answered with ${reply.status}.`;
  const place = error.where ? `${error.where}: ` : "";
  return `${place}${error.what}${error.hint ? `; ${error.hint}` : ""}`;
}

/** Return the reply to a request. Throws an error with one line that says what to do. */
export async function call(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  const failed = path === "answer" ? "Not saved: " : "";
  const reply = await fetch(path, options).catch(() => {
    throw new Refused(failed ? `${failed}latte does not answer. Your answer is kept here.` : GONE, true);
  });
  if (!reply.ok) throw new Refused(failed + await problem(reply));
  return reply;
}

export const asked = async (path, body) => (await call(path, body)).json();

/** Show one red line; `repeat` is what its button does, and `kind` says what clears it. */
export function complain(message, repeat, kind) {
  repeated = repeat;
  find("failure").dataset.kind = kind;
  find("error").textContent = message;
  find("failure").hidden = false;
}

function calm() {
  find("failure").hidden = true;
  repeated = null;
}

/** Do one thing with the server; if that fails, say why and offer to try again. */
export async function guarded(work) {
  setBusy(true);
  try {
    await work();
    calm();
  } catch (error) {
    waiting.length = 0; // they were meant for the questions after this one
    if (!(error instanceof Refused)) throw error;
    complain(error.message, () => guarded(work), error.gone ? "gone" : "refused");
  } finally {
    setBusy(false);
  }
  while (!busy && waiting.length) waiting.shift()();
}

function setBusy(value) {
  busy = value;
  document.body.dataset.busy = value;
}

/** Do something now, or once the request before it is answered. */
export function whenSaved(action) {
  if (busy) waiting.push(action);
  else action();
}

export const again = () => { if (repeated && !busy) repeated(); };

/** Listen to what the server learns. The browser connects again by itself. */
export function listen() {
  const events = new EventSource("events");
  events.addEventListener("learning", () => learning(true));
  events.addEventListener("learned", (event) => {
    learning(false);
    accept(JSON.parse(event.data).state);
  });
  for (const name of ["state", "finished"]) events.addEventListener(name, (event) => accept(JSON.parse(event.data).state));
  events.addEventListener("failed", (event) => failed(JSON.parse(event.data)));
  events.addEventListener("open", () => { if (!find("failure").hidden && find("failure").dataset.kind === "gone") again(); });
  events.addEventListener("error", () => { if (find("failure").hidden) complain(GONE, reload, "gone"); });
}

function learning(value) {
  document.body.classList.toggle("learning", value);
  find("learning").hidden = !value;
}

const reload = () => guarded(async () => accept(await asked("state")));

function failed(error) {
  learning(false);
  const hint = error.hint ? `; ${error.hint}` : "";
  const teach = () => guarded(async () => accept((await asked("teach", {})).state));
  complain(`Your answers are saved, but latte could not learn: ${error.what}${hint}`, teach, "teaching");
}
