// The time range: a preset that moves with the clock, or a free range. It applies to everything on a page.

import { h } from "./dom.js";
import { instant, minute } from "./format.js";
import { change } from "./state.js";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Up to this length, hours are more useful than days. */
const HOURLY_MS = 3 * DAY_MS;

const PRESETS = [
  { name: "PT24H", title: "24 h", ms: DAY_MS },
  { name: "PT48H", title: "48 h", ms: 2 * DAY_MS },
  { name: "PT72H", title: "72 h", ms: 3 * DAY_MS },
  { name: "P7D", title: "7 days", ms: 7 * DAY_MS },
  { name: "P30D", title: "30 days", ms: 30 * DAY_MS },
  { name: "P90D", title: "90 days", ms: 90 * DAY_MS },
];

/**
 * The range that the state names, or else `fallback`. It has `parameters` for the API, `elapsed` (the same without the future),
 * `resolution`, `against` (how much earlier the compared period begins), and `title`.
 */
export function rangeOf(state, fallback, now = Date.now()) {
  const asked = state.get("resolution");
  const resolution = (length_ms) => (["hour", "day"].includes(asked) ? asked : length_ms <= HOURLY_MS ? "hour" : "day");
  const [started, ended] = ["started", "ended"].map((name) => instant(state.get(name) ?? ""));
  if (ended > started) {
    const hours = Math.ceil((ended - started) / HOUR_MS);
    return {
      name: null,
      parameters: [["started", minute(started)], ["ended", minute(ended)]],
      // A range that is not over is compared with an equally long part of the time before: 17 hours of a day with 17 hours.
      elapsed: [["started", minute(started)], ["ended", minute(started + MINUTE_MS <= now && now < ended ? now : ended)]],
      resolution: resolution(ended - started),
      against: `PT${hours}H`,
      title: "the range",
    };
  }
  const preset = PRESETS.find(({ name }) => name === state.get("range")) ?? PRESETS.find(({ name }) => name === fallback);
  const bucket_ms = preset.ms <= HOURLY_MS ? HOUR_MS : DAY_MS;
  // A range has whole hours or days, so only its last bar may cover a part of one. The last bar ends now: 24 bars are 24 h.
  const parameters = [["started", minute(Math.floor(now / bucket_ms) * bucket_ms - preset.ms + bucket_ms)]];
  return {
    name: preset.name,
    parameters,
    elapsed: parameters,
    resolution: resolution(preset.ms),
    against: preset.name,
    title: `last ${preset.title}`,
  };
}

/** Changes the state to a free range: the buckets from `from_ms` up to, but not including, `to_ms`. */
export function zoom(from_ms, to_ms) {
  change({ range: null, started: minute(from_ms), ended: minute(to_ms - 60_000) });
}

/** The controls of the range. `update(range, domain)` shows the range. `domain` are its ends in ms, once known. */
export function rangeBar() {
  const presets = PRESETS.map(({ name, title }) =>
    h("button", { type: "button", "data-range": name, onclick: () => change({ range: name, started: null, ended: null }) }, title));
  const field = (label) => h("input", { type: "datetime-local", required: true, "aria-label": label, max: "9999-12-31T23:59" });
  const [from, to] = [field("From, in UTC"), field("To, in UTC")];
  const check = () => to.setCustomValidity(from.value !== "" && to.value !== "" && to.value <= from.value ? "This is before the beginning." : "");
  for (const input of [from, to]) input.addEventListener("input", check);
  const free = h(
    "form",
    {
      class: "free",
      onsubmit: (event) => {
        event.preventDefault();
        change({ range: null, started: from.value, ended: to.value });
      },
    },
    from, h("span", { "aria-hidden": "true" }, "to"), to, h("button", {}, "Apply"),
  );
  const element = h("div", { class: "range", role: "group", "aria-label": "Time range" }, h("div", { class: "choice" }, presets), free);
  return {
    element,
    update(range, domain) {
      for (const button of presets) button.setAttribute("aria-pressed", String(button.dataset.range === range.name));
      if (free.contains(document.activeElement)) return;
      if (range.name === null) {
        [from.value, to.value] = range.parameters.map(([, value]) => value);
      } else if (domain) {
        [from.value, to.value] = [minute(domain.from), minute(domain.to - 60_000)];
      }
      check();
    },
  };
}
