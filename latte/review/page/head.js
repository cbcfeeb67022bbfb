// The head of the page: one number with its uncertainty, one quiet line, and what stands behind.

import { curve } from "./curve.js";
import { copied, counted, find, picture } from "./dom.js";
import { asked, guarded, onState, state } from "./server.js";

const STRIP = 8; // photos of a change that are shown
const LARGE = [500, 130, true];
const CURVES = { "small-course": [208, 52, false], "how-course": LARGE, course: LARGE };

/** Say what the last answer did, until the next one. */
export const say = (sentence) => { find("said").textContent = `${sentence} `; };

onState(() => {
  const { change, facts, name, teaching, texts } = state;
  document.title = `${name}: review`;
  for (const [id, text] of Object.entries(texts)) find(id).textContent = text;
  for (const [id, size] of Object.entries(CURVES)) find(id).replaceChildren(...curve(state, size));
  find("how-facts").replaceChildren(...facts.map(([dt, dd]) => copied("fact", { dt, dd })));
  if (teaching.state === "learning") find("news").textContent = "Learning…";
  find("see").hidden = !change;
  find("undo").disabled = !state.canUndo;
});

find("estimate").onclick = () => find("how").showModal();

function flow({ old, new: now, photos }) {
  const small = counted(photos.length, "photo");
  const section = copied("flow", { ".old": state.classes[old], b: state.classes[now], small });
  section.querySelector(".strip").append(...photos.slice(0, STRIP).map(picture));
  return section;
}

/** Show which labels the last answers changed. */
find("see").onclick = () => guarded(async () => {
  const { groups } = await asked(`changed?revision=${state.change.revision}`);
  find("flows").replaceChildren(...groups.map(flow));
  find("changes").showModal();
});
