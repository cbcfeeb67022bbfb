"use strict";
for (const filter of document.querySelectorAll("[data-filter]")) {
  const items = [...document.querySelectorAll(filter.dataset.filter)];
  const texts = items.map((item) => item.textContent.toLocaleLowerCase());
  filter.hidden = false;
  filter.querySelector("input").addEventListener("input", (event) => {
    const words = event.target.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    items.forEach((item, index) => {
      item.hidden = !words.every((word) => texts[index].includes(word));
    });
    const shown = items.filter((item) => !item.hidden).length;
    filter.querySelector("output").textContent = `${shown} of ${items.length}`;
  });
}
