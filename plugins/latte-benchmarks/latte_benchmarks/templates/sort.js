"use strict";
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const column = [...heading.parentNode.children].indexOf(heading);
    const downwards = heading.getAttribute("aria-sort") !== "descending";
    const value = (row) => {
      const text = row.children[column].textContent.trim();
      const number = Number.parseFloat(text.replace("−", "-"));
      return Number.isNaN(number) ? text : number;
    };
    const order = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
      return typeof a === "string" ? -1 : 1;
    };
    const rows = [...table.tBodies[0].rows].sort(order);
    table.tBodies[0].append(...(downwards ? rows.reverse() : rows));
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", downwards ? "descending" : "ascending");
  });
}
