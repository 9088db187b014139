// Whether something has become more or less than in the period before, and whether that is bad.

import { h } from "./dom.js";
import { exactly, inUnits, percent } from "./format.js";

/** Less of a change than this is none. */
const SAME = 0.005;
/** A rise by more than this is told by what it was before: "158 times" says more of how little there was. */
const MANY = 9.995;
/** Fewer than so many are no base for a percentage: 3 after 2 are not "▲ 50 %". */
const FEW = 10;

const isTiny = (form, before) => form === "count" && before < FEW;

/** A number as it is shown, by its form: `rate`, or the units of a column. */
export function shown(form, value) {
  return form === "rate" ? percent(value) : inUnits(form, value);
}

/** An element with a number that can be read by people and programs. */
export function number(form, value) {
  if (value === null || value === undefined) return h("span", { class: "none" }, "–");
  const title = form === "rate" ? `${value}` : exactly(form, value);
  return h("data", { value, title }, shown(form, value));
}

/** The part that `part` is of `whole`; null where there is nothing to be a part of. */
export function rate(part, whole) {
  return part === null || part === undefined || !whole ? null : part / whole;
}

/** How `now` differs from `before`. `worse` is "up" or "down", or null where neither is bad; `isShort` within tables. */
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
