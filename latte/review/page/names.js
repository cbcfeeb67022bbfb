// The list of classes: another name for one, or one more.

import { all, copied, find } from "./dom.js";
import { say } from "./head.js";
import { asked, guarded, onState, state } from "./server.js";

function item(name, label) {
  const element = copied("class-name");
  const ariaLabel = `Name of class ${label + 1}`;
  Object.assign(element.firstElementChild, { value: name, ariaLabel });
  return element;
}

/** Show the list, if this run's list can change. */
export function open() {
  if (!state.canNameClasses) return;
  find("named").replaceChildren(...state.classes.map(item));
  find("names").showModal();
}

// Save the name of a class, or of a new one; say at the field what is wrong with it.
find("names").onchange = ({ target: field }) => guarded(async () => {
  const label = [...find("named").children].indexOf(field.parentElement);
  const [before, name] = [state.classes[label] ?? "", field.value.trim()];
  if (name === before) return;
  try {
    await asked("classes", { label: before ? label : null, name });
  } catch (error) {
    field.setCustomValidity(error.message);
    field.reportValidity();
    return;
  }
  say(before ? `${before} is now ${name}.` : `${name} is a class now.`);
  if (before) return;
  field.value = "";
  find("named").append(item(name, state.classes.length - 1));
});
find("names").oninput = ({ target }) => target.setCustomValidity("");

onState(() => {
  for (const button of all("[data-key=t]")) button.hidden = !state.canNameClasses;
});
