// The list of classes: another name for one, or one more.

import { find, made } from "./dom.js";
import { say } from "./head.js";
import { asked, guarded, onState, state } from "./server.js";

/** Save the name of a class, or of a new one if `label` is null; say at the field what is wrong with it. */
const save = (label, field) => guarded(async () => {
  const [before, name] = [state.classes[label] ?? "", field.value.trim()];
  if (name === before) return;
  try {
    await asked("classes", { label, name });
  } catch (error) {
    field.setCustomValidity(error.message);
    field.reportValidity();
    return;
  }
  say(before ? `${before} is now ${name}.` : `${name} is a class now.`);
  if (before) return;
  field.value = "";
  find("named").append(made("li", {}, fieldOf(state.classes.length - 1)));
});

function prepare(field, label) {
  field.oninput = () => field.setCustomValidity("");
  field.onchange = () => save(label, field);
  return field;
}

const fieldOf = (label) => prepare(made("input", { value: state.classes[label], autocomplete: "off", "aria-label": `Name of class ${label + 1}` }), label);

/** Show the list, if this run's list can change. */
export function open() {
  if (!state.canNameClasses) return;
  find("named").replaceChildren(...state.classes.map((_, label) => made("li", {}, fieldOf(label))));
  find("names").showModal();
}

prepare(find("added"), null);
onState(() => {
  for (const button of document.querySelectorAll("[data-key=t]")) button.hidden = !state.canNameClasses;
});
