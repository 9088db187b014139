// The overview. For each metrics type, it shows how much there was, how it ended, how long its parts took, and whether that is
// worse than in the period before. It also has a table of the choices, the worst first.

import { Failure, ROOT, details, path, plotData, read } from "./api.js";
import { Chart } from "./chart.js";
import { calmly, h, name, note, svg } from "./dom.js";
import { daysWithData, pointTo } from "./elsewhere.js";
import { capital, duration, exact, instant, percent, sentence } from "./format.js";
import { isMeant, titlesOf } from "./picker.js";
import { rangeBar, rangeOf, zoom } from "./range.js";
import { change, current } from "./state.js";
import { number, rate, trend } from "./trend.js";

const FALLBACK = "P7D";
const ROWS = 25;
/** The maximum number of choices that a search may request. With more, the query would be too long. */
const FOUND = 1000;
const CHART_PX = 240;

const column = (key, units) => ({ of: (values) => values[key], form: units, order: key });
const part = (key, whole) => ({ of: (values) => rate(values[key], values[whole]), form: "rate", order: `${key}/${whole}` });

/** What is shown of each metrics type. A figure has `of` (its value), `form`, `order`, and `worse` (the bad direction). */
const SECTIONS = [
  {
    type: "job-types",
    title: "Jobs",
    about: "How jobs ended, and where the time of completed executions went.",
    one: "Job type",
    tiles: [
      { title: "Jobs ended", ...column("total_count", "count"), worse: null },
      { title: "Completed", ...part("completed_count", "total_count"), worse: "down" },
      { title: "Failed", ...part("failed_count", "total_count"), worse: "up" },
      { title: "System errors", ...column("error_system_count", "count"), worse: "up" },
      { title: "Data errors", ...column("error_data_count", "count"), worse: "up" },
      { title: "Algorithm errors", ...column("error_algorithm_count", "count"), worse: "up" },
      { title: "Average queue time", ...column("queue_time_avg", "seconds"), worse: "up" },
      { title: "Average run time", ...column("run_time_avg", "seconds"), worse: "up" },
    ],
    charts: [
      { title: "How they ended", columns: ["completed_count", "failed_count", "canceled_count"], kind: "stacked" },
      { title: "What failed", columns: ["error_system_count", "error_data_count", "error_algorithm_count"], kind: "stacked" },
      {
        title: "Where the time went",
        columns: ["queue_time_sum", "pre_time_sum", "job_time_sum", "post_time_sum", "stage_time_sum"],
        kind: "stacked",
        parts: ["Queue", "Pre-task", "Main task", "Post-task", "Overhead"],
      },
      { title: "Is it getting slower?", columns: ["queue_time_avg", "run_time_avg"], kind: "line" },
    ],
    order: "-failed_count/total_count",
    table: [
      { title: "Failure rate", ...part("failed_count", "total_count"), worse: "up" },
      { title: "Ended", ...column("total_count", "count"), worse: null },
      { title: "System", ...part("error_system_count", "total_count") },
      { title: "Data", ...part("error_data_count", "total_count") },
      { title: "Algorithm", ...part("error_algorithm_count", "total_count") },
      { title: "Avg. queue", ...column("queue_time_avg", "seconds"), worse: "up" },
      { title: "Avg. run", ...column("run_time_avg", "seconds"), worse: "up" },
    ],
    spark: { all: "total_count", bad: "failed_count", title: "Ended and failed" },
  },
  {
    type: "errors",
    title: "Errors",
    about: "Executions that ended with a built-in error: what fails, and why.",
    one: "Error",
    tiles: [{ title: "Executions with an error", ...column("total_count", "count"), worse: "up" }],
    charts: [{ title: "Executions with an error", columns: ["total_count"], kind: "bar" }],
    order: "-total_count",
    table: [
      { title: "Category", text: (choice) => capital(choice.category.toLowerCase()) },
      { title: "Executions", ...column("total_count", "count"), worse: "up" },
    ],
    spark: { all: null, bad: "total_count", title: "Executions" },
  },
  {
    type: "ingests",
    title: "Ingests",
    about: "Files that arrived, and what became of them.",
    one: "Strike",
    tiles: [
      { title: "Ingests ended", ...column("total_count", "count"), worse: null },
      { title: "Errored", ...part("errored_count", "total_count"), worse: "up" },
      { title: "Duplicates", ...part("duplicate_count", "total_count"), worse: "up" },
      { title: "Received", ...column("file_size_sum", "bytes"), worse: null },
      { title: "Average transfer", ...column("transfer_time_avg", "seconds"), worse: "up" },
      { title: "Average ingest", ...column("ingest_time_avg", "seconds"), worse: "up" },
    ],
    charts: [
      { title: "How they ended", columns: ["ingested_count", "errored_count", "duplicate_count", "deferred_count"], kind: "stacked" },
      { title: "Files and bytes", columns: ["file_size_sum", "total_count"], kind: "line" },
    ],
    order: "-errored_count/total_count",
    table: [
      { title: "Error rate", ...part("errored_count", "total_count"), worse: "up" },
      { title: "Ended", ...column("total_count", "count"), worse: null },
      { title: "Duplicates", ...part("duplicate_count", "total_count") },
      { title: "Deferred", ...part("deferred_count", "total_count") },
      { title: "Received", ...column("file_size_sum", "bytes"), worse: null },
      { title: "Avg. transfer", ...column("transfer_time_avg", "seconds"), worse: "up" },
      { title: "Avg. ingest", ...column("ingest_time_avg", "seconds"), worse: "up" },
    ],
    spark: { all: "total_count", bad: "errored_count", title: "Ended and errored" },
  },
];

/** Builds the overview. Returns a function that shows what the address currently says. */
export function overview(view) {
  const range = rangeBar();
  const sections = SECTIONS.map((spec) => new Section(spec));
  const empty = emptyState();
  const elsewhere = h("div", { id: "elsewhere" });
  const body = h("div", { class: "sections" }, elsewhere, sections.map(({ element }) => element));
  const head = h("div", { class: "head" }, h("h1", {}, "Overview"), range.element);
  return async (isCurrent) => {
    const state = current();
    const asked = rangeOf(state, FALLBACK);
    range.update(asked);
    if (!body.isConnected && !empty.isConnected) view.replaceChildren(head, body);
    const answers = await Promise.all(sections.map((section) => section.update(asked, state)));
    if (!isCurrent()) return;
    const known = answers.find((answer) => answer !== null);
    if (known) range.update(asked, { from: instant(known.started), to: instant(known.ended) });
    const isQuiet = answers.every((answer) => answer === null || Object.values(answer.all.values).every((value) => !value));
    const hasNothing = answers.every((answer) => answer?.count === 0) && (await isEmpty());
    const days = isQuiet && !hasNothing && known ? await daysWithData(SECTIONS.map(({ type }) => [type, [["column", "total_count"]]])) : null;
    if (!isCurrent()) return;
    elsewhere.replaceChildren(...(days === null ? [] : [pointTo("Nothing ended in this range.", days)]));
    if (hasNothing === empty.isConnected && body.isConnected !== hasNothing) return;
    view.replaceChildren(...(hasNothing ? [empty] : [head, body]));
  };
}

/** Whether nothing was ever posted: no metrics type has a choice. */
async function isEmpty() {
  const all = await Promise.all(SECTIONS.map(({ type }) => details(type)));
  return all.every(({ choices }) => choices.length === 0);
}

function emptyState() {
  const post = `curl -X POST ${location.origin}${ROOT}v6/events/ -H 'Content-Type: application/x-ndjson' --data-binary @- <<'END'
{"kind": "job_type", "id": 1, "name": "my-job", "version": "1.0", "title": "My Job"}
{"kind": "job", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": "${new Date().toISOString().slice(0, 19)}Z"}
END`;
  return h(
    "section", { class: "empty" },
    h("h1", {}, "No events yet"),
    h("p", {}, "Once something is posted, this page shows how much ran and how it ended, what fails, and where the time goes. Post a first job:"),
    h("pre", { tabindex: "0" }, h("code", {}, post)),
    h("p", {}, "Or bring in what you have:"),
    h("pre", { tabindex: "0" }, h("code", {}, `scale-metrics import events.ndjson --url ${location.origin}${ROOT.slice(0, -1)}`)),
    h("p", {}, "To look around first, start a server with sample events: ", h("code", {}, "scale-metrics demo"), ". What an event looks like is told in ", h("a", { href: `${ROOT}v6/docs/` }, "the interface"), "."),
  );
}

/** The part of the page for one metrics type. */
class Section {
  constructor(spec) {
    this.spec = spec;
    this.tiles = h("dl", { class: "tiles" });
    this.charts = spec.charts.map((chart) => {
      const made = new Chart({ title: chart.title, height: CHART_PX, zoom, drawn: () => this.#colour(made) });
      if (chart.parts) {
        [this.split, this.splitChart] = [h("div", { class: "split" }), made];
        made.element.querySelector("summary").parentElement.before(this.split);
      }
      return made;
    });
    this.table = new ChoicesTable(spec);
    this.problem = h("div", {});
    this.element = h(
      "section", { id: spec.type, "aria-labelledby": `${spec.type}-title` },
      h("div", { class: "title" }, h("h2", { id: `${spec.type}-title` }, spec.title), note(spec.about)),
      this.problem, this.tiles,
      h("div", { class: "charts" }, this.charts.map(({ element }) => element)),
      this.table.element,
    );
  }

  /** Reads and shows the section. Returns the totals, or null if the server refuses. */
  async update(range, state) {
    const { spec } = this;
    const charts = spec.charts.map(({ columns, kind }, place) => this.charts[place].show({
      type: spec.type,
      parameters: [...columns.map((key) => ["column", key]), ...range.parameters, ["resolution", range.resolution]],
      kind,
      hidden: this.charts[place].question?.hidden ?? [],
    }));
    const [totals] = await Promise.all([this.#totals(range, state), ...charts]);
    return totals;
  }

  async #totals(range, state) {
    const { spec } = this;
    const keys = [...new Set([...spec.tiles, ...spec.table].flatMap(({ order }) => order?.split("/") ?? [])
      .concat(spec.charts.flatMap(({ columns, parts }) => (parts ? columns : []))))];
    const parameters = [...keys.map((key) => ["column", key]), ...range.elapsed, ["against", range.against]];
    try {
      const [all, rows] = await this.table.read(parameters, state);
      this.problem.replaceChildren();
      if (this.all !== all || this.range !== range.title) {
        this.#showTiles(all.all, range);
        this.#showSplit(all.all);
      }
      [this.all, this.range] = [all, range.title];
      await this.table.show(rows, range, state);
      return all;
    } catch (error) {
      if (!(error instanceof Failure) || error.isGeneral) throw error;
      this.problem.replaceChildren(note(sentence(error.message), "refusal"));
      return null;
    }
  }

  #showTiles({ values, before }, range) {
    const tiles = this.spec.tiles.map(({ title, of, form, worse }) => h(
      "div", {}, h("dt", {}, title), h("dd", {}, number(form, of(values))),
      h("dd", {}, before === null ? "" : trend(form, of(values), of(before), worse)),
    ));
    this.tiles.replaceChildren(...tiles);
    this.tiles.setAttribute("aria-label", `${this.spec.title}, ${range.title}, against the same time before`);
  }

  /** Shows which part of the time each part of a job's life took. */
  #showSplit({ values }) {
    if (!this.split) return;
    const { columns, parts } = this.spec.charts.find(({ parts }) => parts);
    const amounts = columns.map((key) => values[key] ?? 0);
    const whole = amounts.reduce((sum, amount) => sum + amount, 0);
    if (whole === 0) return this.split.replaceChildren();
    const entries = parts.map((title, place) => {
      const bar = h("span", {});
      bar.style.flexGrow = amounts[place];
      return { bar, text: h("li", {}, `${title} `, h("data", { value: amounts[place], title: duration(amounts[place]) }, percent(amounts[place] / whole))) };
    });
    this.split.replaceChildren(
      h("div", { class: "bar", "aria-hidden": "true" }, entries.map(({ bar }) => bar)),
      h("ul", { "aria-label": "Parts of the time" }, entries.map(({ text }) => text)),
    );
    this.#colour(this.splitChart);
  }

  /** Gives the parts of the split the colours that they have in their chart. */
  #colour(chart) {
    if (chart !== this.splitChart || !this.split.firstChild) return;
    chart.series?.forEach(({ color }, place) => (this.split.firstChild.children[place].style.background = color));
  }
}

/** The table of the choices of a metrics type, one page at a time, in an order that the reader chooses. */
class ChoicesTable {
  constructor(spec) {
    this.spec = spec;
    this.keys = { order: `order.${spec.type}`, page: `page.${spec.type}`, search: `search.${spec.type}` };
    const sorted = (title, order) => h("th", { scope: "col", "data-order": order },
      h("button", { type: "button", onclick: () => this.#sort(order) }, title));
    this.heads = [sorted(spec.one, "title"), h("th", { scope: "col", class: "spark" }, spec.spark.title),
      ...spec.table.map(({ title, order }) => (order ? sorted(title, order) : h("th", { scope: "col", class: "text" }, title)))];
    this.body = h("tbody", {});
    this.search = h("input", {
      type: "search", "aria-label": `Search: ${spec.one.toLowerCase()}`, placeholder: `Search ${spec.one.toLowerCase()}s`,
      oninput: calmly(() => change({ [this.keys.search]: this.search.value.trim() || null, [this.keys.page]: null }, { replace: true }), 250),
    });
    this.pages = h("div", { class: "pages" });
    this.element = h(
      "div", { class: "choices" },
      h("div", { class: "tools" }, this.search, this.pages),
      h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `${spec.title} by ${spec.one.toLowerCase()}` },
        h("table", {}, h("thead", {}, h("tr", {}, this.heads)), this.body)),
    );
  }

  #sort(order) {
    const now = current().get(this.keys.order) ?? this.spec.order;
    // Numbers start with the largest, names with A.
    const next = now === order ? `-${order}` : now === `-${order}` ? order : order === "title" ? order : `-${order}`;
    change({ [this.keys.order]: next === this.spec.order ? null : next, [this.keys.page]: null }, { replace: true });
  }

  /** Reads the totals of all choices together, and those of the choices on the page that the state names. */
  async read(parameters, state) {
    const order = state.get(this.keys.order) ?? this.spec.order;
    const page = [["order", order], ["page_size", ROWS], ["page", state.get(this.keys.page) ?? 1]];
    const totals = (more) => read(path(this.spec.type, "totals/", [...parameters, ...more]));
    const typed = state.get(this.keys.search) ?? "";
    if (typed === "") {
      const both = await totals(page);
      return [both, both];
    }
    const { choices } = await details(this.spec.type);
    const ids = choices.filter((choice) => isMeant(choice, typed)).slice(0, FOUND).map(({ id }) => ["choice_id", id]);
    const none = { count: 0, next: null, previous: null, results: [] };
    return Promise.all([totals([["page_size", 1]]), ids.length === 0 ? none : totals([...page, ...ids])]);
  }

  async show(totals, range, state) {
    const order = state.get(this.keys.order) ?? this.spec.order;
    for (const head of this.heads) {
      const sort = { [head.dataset.order]: "ascending", [`-${head.dataset.order}`]: "descending" }[order];
      if (sort && head.dataset.order) head.setAttribute("aria-sort", sort);
      else head.removeAttribute("aria-sort");
    }
    if (document.activeElement !== this.search) this.search.value = state.get(this.keys.search) ?? "";
    if (this.totals === totals && this.range === range.title) return this.#sparks(totals, range);
    [this.totals, this.range] = [totals, range.title];
    this.#showPages(totals, Number(state.get(this.keys.page) ?? 1));
    const focused = this.body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    this.sparks = new Map();
    const titles = titlesOf(totals.results.map(({ choice }) => choice));
    const rows = totals.results.map((result) => this.#row(result, titles, state));
    if (rows.length === 0) {
      const none = this.search.value === "" ? "Nothing ended in this range or before it." : "Nothing is called so.";
      rows.push(h("tr", {}, h("td", { colspan: this.heads.length, class: "note" }, none)));
    }
    this.body.replaceChildren(...rows);
    if (focused !== null) this.body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    await this.#sparks(totals, range);
  }

  #row({ choice, values, before }, titles, state) {
    const query = new URLSearchParams([["type", this.spec.type], ["choice_id", choice.id]]);
    for (const key of this.spec.charts[0].columns) query.append("column", key);
    query.append("kind", this.spec.charts[0].kind);
    for (const key of ["range", "started", "ended"]) if (state.has(key)) query.append(key, state.get(key));
    const spark = h("td", { class: "spark" });
    this.sparks.set(choice.id, spark);
    const cells = this.spec.table.map(({ text, of, form, worse }) => {
      if (text) return h("td", { class: "text" }, text(choice));
      const parts = [number(form, of(values))];
      if (worse !== undefined && before !== null) parts.push(trend(form, of(values), of(before), worse, true));
      return h("td", {}, parts);
    });
    return h("tr", {}, h("th", { scope: "row" }, h("a", { href: `${ROOT}explorer/?${query}` }, name(titles.get(choice.id)))), spark, cells);
  }

  #showPages({ count, next, previous }, page) {
    const go = (to) => change({ [this.keys.page]: to === 1 ? null : String(to) });
    const first = (page - 1) * ROWS + 1;
    const text = count === 0 ? "" : count <= ROWS ? `${exact(count)} in all` : `${exact(first)}–${exact(Math.min(count, page * ROWS))} of ${exact(count)}`;
    const step = (title, to, isThere) => h("button", { type: "button", disabled: isThere === null, onclick: () => go(to) }, title);
    this.pages.replaceChildren(h("span", { role: "status" }, text),
      ...(count > ROWS ? [step("Previous", page - 1, previous), step("Next", page + 1, next)] : []));
  }

  /** Draws a small chart over time for each choice that is shown. */
  async #sparks(totals, range) {
    const ids = totals.results.map(({ id }) => id);
    if (ids.length === 0) return;
    const { all, bad } = this.spec.spark;
    const data = await plotData(this.spec.type, [
      ...[all, bad].filter((key) => key !== null).map((key) => ["column", key]), ...ids.map((id) => ["choice_id", id]),
      ...range.parameters, ["resolution", range.resolution],
    ]);
    if (this.drawn === data && this.drawnIn === this.sparks) return;
    [this.drawn, this.drawnIn] = [data, this.sparks];
    const bucket = range.resolution === "hour" ? 3_600_000 : 86_400_000;
    const from = Math.floor(instant(totals.started) / bucket) * bucket;
    const length = Math.max(1, Math.ceil((instant(totals.ended) - from) / bucket));
    const values = new Map();
    for (const { column, values: points } of data.results) {
      for (const { datetime, value, id } of points) {
        const key = id ?? ids[0];
        if (!values.has(key)) values.set(key, new Map());
        const at = values.get(key);
        const place = Math.round((instant(datetime) - from) / bucket);
        at.set(place, { ...at.get(place), [column.name === bad ? "bad" : "all"]: value });
      }
    }
    for (const [id, cell] of this.sparks) cell.replaceChildren(spark(values.get(id) ?? new Map(), length));
  }
}

/** A small chart with a bar for each bucket: the whole, and in front of it the bad part. */
function spark(values, length) {
  const HEIGHT = 24;
  const most = Math.max(1, ...[...values.values()].map(({ all = 0, bad = 0 }) => Math.max(all, bad)));
  const bars = [...values].flatMap(([place, amounts]) => ["all", "bad"].filter((kind) => amounts[kind] > 0).map((kind) => {
    const height = (HEIGHT * amounts[kind]) / most;
    return svg("rect", { class: kind, x: place + 0.08, width: 0.84, y: HEIGHT - height, height });
  }));
  const sum = (kind) => [...values.values()].reduce((total, amounts) => total + (amounts[kind] ?? 0), 0);
  const label = `${exact(sum("all") || sum("bad"))} in all, at most ${exact(most)} at a time`;
  return svg("svg", { viewBox: `0 0 ${length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, bars);
}
