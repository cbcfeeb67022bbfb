// The last view: the result, how far to trust it, what to do next.

import { all, copied, counted, find, picture, showFor } from "./dom.js";
import { points, readPoints } from "./map.js";
import { accept, asked, guarded, onState, state } from "./server.js";

const SHOWN = 7; // classes with a pile of photos
const writers = all("[data-output]");

/** Show the view, and write the run if answers have come since the last one. */
export const load = () => guarded(async () => {
  showFor("finish");
  find("headline").focus();
  accept(await asked("state"));
  await readPoints();
  show();
  if (state.finished || !state.answered) return;
  find("written").textContent = "Writing…";
  await asked("finish", {}).finally(show);
  await readPoints();
  show();
});

function show() {
  const labels = state.bySize.filter((label) => state.counts[label]);
  find("piles").replaceChildren(...labels.slice(0, SHOWN).map(pile), find("more-classes"));
  const saved = state.finished && copied("saved", { code: state.finished.folder });
  find("written").replaceChildren(...(saved ? [saved] : []));
  writers.forEach(name);
}

function pile(label) {
  const texts = { b: state.classes[label], small: counted(state.counts[label], "photo") };
  const item = copied("pile", texts);
  const three = [...points.keys()].filter((photo) => points[photo].label === label).slice(0, 3);
  item.firstElementChild.append(...three.map(picture));
  return item;
}

/** Name the place of a button before it writes there, and after. */
function name(button) {
  const place = state.outputs[button.dataset.output];
  const isWritten = button.dataset.written === `${place} ${state.revision}`;
  button.hidden = !place;
  button.disabled = isWritten;
  button.textContent = `${isWritten ? "Written to" : "Write to"} ${place}`;
}

for (const button of writers) {
  button.onclick = () => guarded(async () => {
    button.disabled = true;
    const write = async () => {
      const { path, state: next } = await asked("write", { output: button.dataset.output });
      button.dataset.written = `${path} ${next.revision}`;
    };
    await write().finally(() => name(button));
  });
}

for (const button of all(".command button")) {
  button.onclick = async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
  };
}

onState(() => { if (document.body.dataset.view === "finish") show(); });
