"use strict";
for (const filter of document.querySelectorAll("[data-filter]")) {
  const items = [...document.querySelectorAll(filter.dataset.filter)];
  const texts = items.map((item) => item.textContent.toLocaleLowerCase());
  const search = filter.querySelector("input[type=search]");
  const label = filter.querySelector("select");
  const changed = filter.querySelector("input[type=checkbox]");
  const fits = (item, text) =>
    search.value.toLocaleLowerCase().split(/\s+/).every((word) => text.includes(word)) &&
    (!label || !label.value || item.dataset.labels.split(" ").includes(label.value)) &&
    (!changed || !changed.checked || "changed" in item.dataset);
  filter.hidden = false;
  filter.addEventListener("input", () => {
    items.forEach((item, index) => {
      item.hidden = !fits(item, texts[index]);
    });
    const shown = items.filter((item) => !item.hidden).length;
    filter.querySelector("output").textContent = `${shown} of ${items.length}`;
  });
}
for (const button of document.querySelectorAll("button.copy")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
const dots = document.querySelectorAll("svg.map circle");
const names = document.querySelectorAll(".legend button");
const light = (label) => dots.forEach((dot) => dot.classList.toggle("dim", label !== null && dot.dataset.class !== label));
const pressed = () => document.querySelector(".legend [aria-pressed=true]")?.dataset.class ?? null;
for (const name of names) {
  name.addEventListener("mouseenter", () => light(name.dataset.class));
  name.addEventListener("mouseleave", () => light(pressed()));
  name.addEventListener("click", () => {
    const on = name.getAttribute("aria-pressed") !== "true";
    names.forEach((other) => other.setAttribute("aria-pressed", String(on && other === name)));
    light(pressed());
  });
}
const unfold = () => {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
};
addEventListener("hashchange", unfold);
unfold();
