// The explorer: shows any columns of a metrics type, for all choices together or for some of them, over any time range.

import { ROOT, details, hasToken, path, read, save } from "./api.js";
import { Chart } from "./chart.js";
import { h, note } from "./dom.js";
import { daysWithData, pointTo } from "./elsewhere.js";
import { picker, titlesOf } from "./picker.js";
import { rangeBar, rangeOf, zoom } from "./range.js";
import { change, current } from "./state.js";

const FALLBACK = "P30D";
const CHART_PX = 420;
/** The columns of each type that are shown until the reader chooses some. */
const FIRST = {
  "job-types": ["completed_count", "failed_count", "canceled_count"],
  ingests: ["ingested_count", "errored_count", "duplicate_count"],
  errors: ["total_count"],
};
const KINDS = [["bar", "Bars"], ["stacked", "Stacked"], ["line", "Lines"]];
/** All parameters of the address that the explorer reads. */
const KNOWN = ["type", "choice_id", "column", "kind", "resolution", "hidden", "table", "range", "started", "ended"];
const RESOLUTIONS = [["", "Auto"], ["hour", "Hours"], ["day", "Days"]];

/** Builds the explorer. Returns a function that shows what the address currently says. */
export function explorer(view) {
  const range = rangeBar();
  const types = h("select", { id: "type", onchange: () => forget({ type: types.value }) });
  const choices = picker({ label: "Choices", pick: (ids) => change({ choice_id: ids.map(String), hidden: null }) });
  const columns = h("div", { class: "columns" });
  const kind = options("Chart", KINDS, "kind");
  const resolution = options("Buckets", RESOLUTIONS, "resolution");
  const isOpen = current().get("table") === "open";
  const chart = new Chart({ title: "", height: CHART_PX, zoom, hide: (hidden) => change({ hidden }, { replace: true }), isOpen });
  chart.details.addEventListener("toggle", () => change({ table: chart.details.open ? "open" : null }, { replace: true }));
  const summary = h("h2", { class: "summary" });
  const elsewhere = h("div", { id: "elsewhere" });
  const call = h("input", { readonly: true, id: "call", "aria-label": "The same for programs", onfocus: () => call.select() });
  const copied = h("span", { role: "status" });
  const copy = h("button", { type: "button", onclick: () => copyText(call, copied) }, "Copy");
  const csv = h("a", { download: true, onclick: (event) => {
    if (!hasToken()) return;
    event.preventDefault();
    save(csv.href, csv.download).catch((error) => (copied.textContent = error.message));
  } }, "CSV");
  const ignored = h("p", { class: "note", id: "ignored", hidden: true });
  const picture = h("a", { target: "_blank", rel: "noopener" }, "Picture");
  const controls = h(
    "details", { class: "controls", open: matchMedia("(min-width: 60rem)").matches },
    h("summary", {}, "What to show"),
    h("div", { class: "fields" },
      h("label", { for: "type" }, "Metrics"), types,
      h("span", { class: "label" }, "Choices"), choices.element,
      kind.element, resolution.element,
      h("span", { class: "label" }, "Columns"), columns),
  );
  view.replaceChildren(
    h("div", { class: "head" }, h("h1", {}, "Explorer"), range.element),
    h("div", { class: "explorer" }, controls,
      h("div", { class: "shown" }, summary, elsewhere, chart.element,
        h("div", { class: "links" }, h("label", { for: "call" }, "API call"), call, copy, copied, csv, picture), ignored)),
  );
  let built = null;

  return async (isCurrent) => {
    const state = current();
    const asked = rangeOf(state, FALLBACK);
    range.update(asked, chart.geometry);
    const all = (await read(`${ROOT}v6/metrics/`)).results;
    const type = all.some(({ name }) => name === state.get("type")) ? state.get("type") : "job-types";
    const known = await details(type);
    if (!isCurrent()) return;
    // Unknown choices and columns are requested, too: an error of the server is more useful than no reaction.
    const ids = state.getAll("choice_id").map(Number).filter(Number.isSafeInteger);
    const given = state.getAll("column");
    const shown = given.length > 0 ? given : FIRST[type];
    if (types.options.length === 0) types.append(...all.map(({ name, title }) => h("option", { value: name }, title)));
    types.value = type;
    choices.update(known.choices, ids);
    if (built !== known.name) columns.replaceChildren(...groupsOf(known, columns));
    built = known.name;
    for (const box of columns.querySelectorAll("input")) box.checked = shown.includes(box.value);
    const kinds = kind.update(KINDS.some(([name]) => name === state.get("kind")) ? state.get("kind") : "stacked");
    resolution.update(state.get("resolution") ?? "");
    const hidden = state.getAll("hidden").filter((key) => mayBeSeries(key, shown, ids));
    const selected = [...shown.map((name) => ["column", name]), ...ids.map((id) => ["choice_id", String(id)])];
    const parameters = [...selected, ...asked.parameters, ["resolution", asked.resolution]];
    summary.textContent = `${known.title}, ${ids.length === 0 ? "all together" : ids.length === 1 ? titlesOf(known.choices).get(ids[0]) ?? "one choice" : `${ids.length} choices`}, ${asked.title}, by ${asked.resolution}`;
    const unknown = [...new Set(state.keys())].filter((name) => !KNOWN.includes(name));
    ignored.hidden = unknown.length === 0;
    ignored.textContent = `Ignored, since the explorer knows no such parameters: ${unknown.join(", ")}`;
    call.value = location.origin + path(type, "plot-data/", parameters);
    csv.href = path(type, "plot-data/", [...parameters, ["format", "csv"]]);
    csv.download = `${type}.csv`;
    const hiding = hidden.map((key) => ["hidden", key]);
    picture.href = path(type, "plot.svg", [...parameters, ...hiding, ["kind", kinds], ["width", "1000"], ["height", "400"]]);
    await chart.show({ type, parameters, kind: kinds, hidden });
    const days = chart.isEmpty ? await daysWithData([[type, selected]]) : null;
    if (!isCurrent()) return;
    elsewhere.replaceChildren(...(days === null ? [] : [pointTo("No values in this range.", days)]));
    range.update(asked, chart.geometry);
  };
}

/** Whether the picture of these columns and choices may have a series with this key. The server refuses to hide any other. */
function mayBeSeries(key, columns, ids) {
  const [column, id] = key.split(":");
  if (!columns.includes(column)) return false;
  // For a single choice, the dialect of the server decides.
  return id === undefined ? ids.length < 2 : ids.includes(Number(id));
}

/** Changes the type, and drops what was chosen for the previous type. */
function forget(changes) {
  change({ ...changes, column: null, choice_id: null, hidden: null });
}

/** A few alternatives side by side. The address keeps the choice. */
function options(label, alternatives, key) {
  const name = `option-${key}`;
  const inputs = alternatives.map(([value]) => h("input", { type: "radio", name, value, onchange: () => change({ [key]: value || null }) }));
  const element = h("fieldset", { class: "choice" }, h("legend", {}, label),
    alternatives.map(([, title], place) => h("label", {}, inputs[place], h("span", {}, title))));
  return {
    element,
    update(value) {
      for (const input of inputs) input.checked = input.value === value;
      return value;
    },
  };
}

/** The columns of a type as check boxes, by group. */
function groupsOf({ groups, columns }, place) {
  const boxes = () => [...place.querySelectorAll("input")];
  const tick = (event) => {
    // At least one column must be shown.
    if (boxes().every((box) => !box.checked)) event.target.checked = true;
    else change({ column: boxes().filter((box) => box.checked).map((box) => box.value), hidden: null });
  };
  return groups.map((group) => {
    const own = columns.filter((column) => column.group === group.name);
    const isDistribution = own.every(({ aggregate }, _, all) => all.length > 1 && all.some((other) => other.aggregate !== aggregate));
    const labels = own.map((column) => {
      // "Run Time (Max)" stands in the group "Run Time".
      const title = isDistribution ? /\(([^)]*)\)$/.exec(column.title)[1] : column.title.replace(/ Count$/, "");
      return h("label", { title: column.description }, h("input", { type: "checkbox", value: column.name, "aria-label": column.title, onchange: tick }), title);
    });
    return h("fieldset", {}, h("legend", { title: group.description }, group.title), labels, group.description === "" ? null : note(group.description, "spoken"));
  });
}

async function copyText(field, status) {
  field.select();
  // Pages without TLS from another machine have no access to the clipboard. Then the text is at least selected.
  try {
    await navigator.clipboard.writeText(field.value);
    status.textContent = "Copied";
  } catch {
    status.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  }
  setTimeout(() => (status.textContent = ""), 3000);
}
