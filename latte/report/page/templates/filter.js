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
