// Trends: whether a value has risen or fallen since the period before, and whether that is bad.

import { h } from "./dom.js";
import { exactly, inUnits, percent } from "./format.js";

/** A smaller change counts as no change. */
const SAME = 0.005;
/** A rise by more than this is shown by the previous value, since "158 times" mostly says how small that value was. */
const MANY = 9.995;
/** A smaller number is no base for a percentage: 3 after 2 are not "▲ 50 %". */
const FEW = 10;

const isTiny = (form, before) => form === "count" && before < FEW;

/** Formats a number by its form: `rate`, or the units of a column. */
export function shown(form, value) {
  return form === "rate" ? percent(value) : inUnits(form, value);
}

/** An element with a number that people and programs can read. */
export function number(form, value) {
  if (value === null || value === undefined) return h("span", { class: "none" }, "–");
  const title = form === "rate" ? `${value}` : exactly(form, value);
  return h("data", { value, title }, shown(form, value));
}

/** The ratio of `part` to `whole`. It is null if one of them is missing or `whole` is 0. */
export function rate(part, whole) {
  return part === null || part === undefined || !whole ? null : part / whole;
}

/** Compares `now` with `before`. `worse` is "up" or "down", or null if neither is bad; `isShort` is for tables. */
export function trend(form, now, before, worse, isShort = false) {
  const isKnown = (value) => value !== null && value !== undefined;
  if (!isKnown(now) || !isKnown(before)) return h("span", { class: "trend" }, isKnown(now) ? "new" : "");
  const difference = form === "rate" ? now - before : before === 0 ? (now === 0 ? 0 : Infinity) : now / before - 1;
  const title = `before: ${shown(form, before)}`;
  if (Math.abs(difference) < SAME) {
    const same = "about the same";
    return h("span", { class: "trend", title: `${same}; ${title}` }, "=", h("span", isShort ? { class: "spoken" } : {}, ` ${same}`));
  }
  const direction = difference > 0 ? "up" : "down";
  const kind = worse === null ? "" : direction === worse ? "worse" : "better";
  const amount = difference === Infinity ? "from none" : form === "rate"
    ? `${Math.abs(difference * 100).toFixed(1)} ${isShort ? "pp" : "points"}`
    : isTiny(form, before) || difference >= MANY ? `from ${shown(form, before)}` : `${Math.round(Math.abs(difference) * 100)} %`;
  const arrow = h("span", { "aria-hidden": "true" }, direction === "up" ? "▲" : "▼");
  const spoken = h("span", { class: "spoken" }, `${direction} ${kind === "" ? "" : `(${kind}) `}`);
  return h("span", { class: `trend ${kind}`, title }, arrow, spoken, ` ${amount}`);
}
