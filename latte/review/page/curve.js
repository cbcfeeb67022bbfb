// The curve: the estimate with its interval, and a dotted line for ten more answers.

import { copied, counted } from "./dom.js";

/** Return the history of the estimate as an SVG, with a scale if it is large; [] without one. */
export function curve({ history, tenMore, zeroShot }, [width, height, isLarge]) {
  if (!history.length) return [];
  const last = history.at(-1);
  const svg = copied("curve", { text: counted(last.answers, "answer") });
  const set = (selector, attributes) => {
    const shape = svg.querySelector(selector);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  };
  const x = (answers) => answers / Math.max(40, last.answers + 10) * width;
  const y = (value) => height - value / 100 * height;
  const places = (points, name) => points.map((point) => [x(point.answers), y(point[name])]);
  const [cx, cy] = places([last], "value")[0];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (isLarge) set("text", { x: cx });
  else svg.querySelector(".scale").remove();
  set(".band", { points: [...places(history, "high"), ...places(history.toReversed(), "low")] });
  set(".course", { points: places(history, "value") });
  set(".now", { cx, cy });
  if (zeroShot !== null) set(".zero-shot", { y1: y(zeroShot), y2: y(zeroShot), x2: width });
  if (!tenMore) svg.querySelectorAll(".ahead, .goal").forEach((shape) => shape.remove());
  else {
    const goal = [x(last.answers + 10), y(Math.min(100, last.value + tenMore.points))];
    set(".ahead", { x1: cx, y1: cy, x2: goal[0], y2: goal[1] });
    set(".goal", { cx: goal[0], cy: goal[1] });
  }
  return [svg];
}
