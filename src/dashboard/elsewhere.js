// The note that a page shows if its range has no data: from when to when there is data, and a button that shows it.

import { plotData } from "./api.js";
import { h } from "./dom.js";
import { change } from "./state.js";

/** Returns the first and the last day with a value for these questions (`[type, parameters]`, without a range), or null. */
export async function daysWithData(questions) {
  const whole = [["resolution", "day"], ["ended", "9999-12-31"]];
  const all = await Promise.all(questions.map(([type, parameters]) => plotData(type, [...parameters, ...whole])));
  const series = all.flatMap(({ results }) => results).filter(({ min_x: first }) => first !== null);
  if (series.length === 0) return null;
  return [series.map(({ min_x: first }) => first).sort()[0], series.map(({ max_x: last }) => last).sort().at(-1)];
}

/** Says that there is nothing in this range, and offers the range with data. */
export function pointTo(nothing, [first, last]) {
  const show = () => change({ range: null, started: `${first}T00:00`, ended: `${last}T23:59` });
  const when = first === last ? `on ${first}` : `from ${first} to ${last}`;
  return h("p", { class: "elsewhere", role: "status" }, `${nothing} There is data ${when}. `,
    h("button", { type: "button", onclick: show }, "Show it"));
}
