// Requests to the server: one at a time, in the order of the keys; a failed one can be sent again.

import { find } from "./dom.js";

/** What the server says about the set: names, counts, the estimate. */
export let state = null;

const GONE = "latte does not answer. All answers are saved.";
const KEPT = "Not saved: latte does not answer. Your answer is kept here.";
const listeners = [];
const waiting = []; // key presses and clicks, until the answer before them is saved
let running = 0; // requests that are not answered yet
let repeated = null; // what "Try again" does

/** A failed request, with a reason for the person; the cause "gone" means that nobody replied. */
class Refused extends Error {}

/** Call `listener` after each new state. */
export const onState = (listener) => listeners.push(listener);

/** Take a state over, unless a newer one has come meanwhile. */
export function accept(next) {
  if (state && next.revision < state.revision) return;
  state = next;
  const { state: teaching, error } = state.teaching;
  find("learning").hidden = teaching !== "learning";
  if (teaching === "failed") {
    const line = `Your answers are saved, but not learnt: ${sentence(error)}`;
    complain(line, () => guarded(() => asked("teach", {})));
  }
  for (const listener of listeners) listener();
}

const sentence = ({ what, where, hint }) =>
  `${where ? `${where}: ` : ""}${what}${hint ? `; ${hint}` : ""}`;

/** Return the reply to a request. Raises `Refused` with one line for the person. */
export async function call(path, body) {
  const isAnswer = path === "answer";
  const reply = await fetch(path, body && { method: "POST", body: JSON.stringify(body) })
    .catch(() => { throw new Refused(isAnswer ? KEPT : GONE, { cause: "gone" }); });
  if (reply.ok) return reply;
  const { error } = await reply.json().catch(() => ({}));
  const why = error ? sentence(error) : `latte answered with status ${reply.status}`;
  throw new Refused(isAnswer ? `Not saved: ${why}` : why);
}

/** Return the data of a reply; take over the state that comes with it. */
export async function asked(path, body) {
  const reply = await (await call(path, body)).json();
  if (reply.state) accept(reply.state);
  return reply;
}

function complain(message, repeat, cause = "") {
  repeated = repeat;
  find("failure").dataset.cause = cause;
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
    complain(error.message, () => guarded(work), error.cause);
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

const again = () => { if (!running) repeated(); };

const reload = () => guarded(async () => accept(await asked("state")));

find("again").onclick = again;

/** Listen to what the server learns. The browser connects again by itself. */
export function listen() {
  const events = new EventSource("events");
  for (const name of ["state", "learning", "learned", "failed", "finished"]) {
    events.addEventListener(name, ({ data }) => {
      const news = JSON.parse(data);
      accept({ ...state, ...(news.state ?? news) });
    });
  }
  const failure = find("failure");
  events.onopen = () => { if (!failure.hidden && failure.dataset.cause === "gone") again(); };
  events.onerror = () => { if (failure.hidden) complain(GONE, reload, "gone"); };
}
