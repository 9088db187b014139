// What a page says when its range has no data: from when to when there is some, and a button that shows it.

import { plotData } from "./api.js";
import { h } from "./dom.js";
import { change } from "./state.js";

/** The first and the last day with a value of what is asked for (`[type, parameters]`, without a range), or null. */
export async function daysWithData(questions) {
  const whole = [["resolution", "day"], ["ended", "9999-12-31"]];
  const all = await Promise.all(questions.map(([type, parameters]) => plotData(type, [...parameters, ...whole])));
  const series = all.flatMap(({ results }) => results).filter(({ min_x: first }) => first !== null);
  if (series.length === 0) return null;
  return [series.map(({ min_x: first }) => first).sort()[0], series.map(({ max_x: last }) => last).sort().at(-1)];
}

/** Says that there is nothing in this range, and leads to where there is. */
export function pointTo(nothing, [first, last]) {
  const show = () => change({ range: null, started: `${first}T00:00`, ended: `${last}T23:59` });
  const when = first === last ? `on ${first}` : `from ${first} to ${last}`;
  return h("p", { class: "elsewhere", role: "status" }, `${nothing} There is data ${when}. `,
    h("button", { type: "button", onclick: show }, "Show it"));
}
