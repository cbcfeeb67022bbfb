// Elements of the page.
// Names come from untrusted files: they are only ever set as text, never as HTML.

export const find = (id) => document.getElementById(id);
export const all = (selector) => [...document.querySelectorAll(selector)];

/** Set texts inside an element, by their selectors; return the element. */
export function fill(element, texts) {
  for (const [selector, text] of Object.entries(texts)) {
    element.querySelector(selector).textContent = text;
  }
  return element;
}

/** Return a copy of a template with its texts, by their selectors. */
export const copied = (template, texts = {}) =>
  fill(find(template).content.firstElementChild.cloneNode(true), texts);

export const image = (src) => Object.assign(new Image(), { src, alt: "", draggable: false });

/** Return the small picture of a photo. */
export const picture = (photo) => Object.assign(image(`thumb/${photo}`), { loading: "lazy" });

/** Show what belongs to a view or a question, and hide what belongs to others. */
export function showFor(name) {
  for (const element of all("[data-for]")) {
    element.hidden = !element.dataset.for.split(" ").includes(name);
  }
}

export const counted = (number, noun) =>
  `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
