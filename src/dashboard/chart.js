// A chart: a picture drawn by the server, and the interactive parts over it: values under the pointer, series that can be hidden,
// zooming, a table. The chart knows only what the root element of the picture says of its geometry and series.

import { Failure, path, plotData, read } from "./api.js";
import { calmly, freshId, h, note } from "./dom.js";
import { exactly, instant, inUnits, moment, sentence } from "./format.js";

/** The maximum number of rows of the table. The CSV has all rows. */
const ROWS = 400;
/** A drag that is shorter counts as a click. */
const DRAG_PX = 6;

const dark = matchMedia("(prefers-color-scheme: dark)");

/**
 * A chart with a heading. `zoom(from_ms, to_ms)` is called with the range that was dragged over, `hide(keys)` with the series
 * that are switched off. Only one of several charts may keep `hide` in the address; the others keep it to themselves. `drawn()`
 * is called when there are a new picture and `series`.
 */
export class Chart {
  constructor({ title, height, zoom, hide = null, drawn = () => {}, isOpen = false }) {
    this.height = height;
    this.zoom = zoom;
    this.drawn = drawn;
    this.hide = hide ?? ((hidden) => this.#showAgain({ hidden }));
    this.legend = h("ul", { class: "legend", "aria-label": "Series" });
    this.picture = h("div", { class: "picture" });
    this.line = h("div", { class: "crosshair", hidden: true });
    this.selection = h("div", { class: "selection", hidden: true });
    this.tip = h("div", { class: "tip", hidden: true });
    this.spoken = h("p", { class: "spoken", "aria-live": "polite" });
    const help = freshId("help");
    this.plot = h(
      "div",
      { class: "plot", tabindex: "0", role: "group", "aria-label": `${title}: values`, "aria-describedby": help },
      this.picture, this.selection, this.line, this.tip,
    );
    this.help = h("p", { class: "spoken", id: help }, "Arrow keys go from value to value, plus zooms in around it.");
    this.plot.style.minHeight = `${height}px`;
    this.table = h("div", { class: "wide" });
    this.details = h("details", { open: isOpen, ontoggle: () => this.#fillTable() }, h("summary", {}, "Table"), this.table);
    const heading = title === "" ? null : h("figcaption", {}, h("h3", {}, title));
    this.element = h("figure", { class: "chart" }, heading, this.legend, this.plot, this.help, this.spoken, this.details);
    this.#listen();
    new ResizeObserver(calmly(() => this.#showAgain({}))).observe(this.plot);
  }

  /** Shows the chart for `question`: `type`, `parameters` of plot data, `kind`, `hidden` series. */
  async show(question) {
    this.question = question;
    const width = Math.max(240, Math.floor(this.plot.clientWidth));
    this.width = width;
    const { type, parameters, kind, hidden } = question;
    const asked = [
      ...parameters, ["kind", kind], ["width", width], ["height", this.height], ["theme", dark.matches ? "dark" : "light"],
      ["legend", "false"], ...hidden.map((key) => ["hidden", key]),
    ];
    try {
      const text = await read(path(type, "plot.svg", asked), "text");
      if (this.question !== question || this.text === text) return;
      this.text = text;
      this.#draw(text);
    } catch (error) {
      if (!(error instanceof Failure) || error.isGeneral) throw error;
      if (this.question === question) this.#refuse(error.message);
    }
  }

  /** Whether the picture says that it has no values. */
  get isEmpty() {
    return [...this.picture.querySelectorAll("svg text")].some((text) => text.textContent === "no values");
  }

  async #showAgain(changes) {
    if (this.question === undefined || this.plot.clientWidth === 0) return;
    if (Object.keys(changes).length === 0 && Math.max(240, Math.floor(this.plot.clientWidth)) === this.width) return;
    try {
      await this.show({ ...this.question, ...changes });
    } catch (error) {
      // The page soon requests everything again, and shows the failure.
      if (!(error instanceof Failure)) throw error;
    }
  }

  #refuse(detail) {
    this.text = undefined;
    this.geometry = undefined;
    this.picture.replaceChildren(note(sentence(detail), "refusal"));
    this.legend.replaceChildren();
    this.table.replaceChildren();
    this.#leave();
  }

  #draw(text) {
    const root = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
    const { plot, from, to, bucket, series } = root.dataset;
    const [left, top, width, height] = plot.split(" ").map(Number);
    this.geometry = {
      left, top, width, height, total: Number(root.getAttribute("width")),
      from: Date.parse(from), to: Date.parse(to), bucket: Number(bucket) * 1000,
    };
    this.series = JSON.parse(series);
    this.values = undefined;
    this.picture.replaceChildren(root);
    this.#drawLegend();
    this.#leave();
    this.#fillTable();
    this.drawn();
  }

  #drawLegend() {
    const focused = this.legend.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const hidden = this.question.hidden;
    const entries = this.series.map(({ key, title, color }) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = color;
      const isShown = !hidden.includes(key);
      const toggle = () => this.hide(isShown ? [...hidden, key] : hidden.filter((other) => other !== key));
      return h("li", {}, h("button", { type: "button", "data-key": key, "aria-pressed": String(isShown), title, onclick: toggle }, swatch, h("bdi", {}, title)));
    });
    this.legend.replaceChildren(...entries);
    if (focused !== null) this.legend.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  /** The values of each bucket by its start: a list in the order of the series. */
  async #read() {
    if (this.values !== undefined) return this.values;
    const { series, question } = this;
    const data = await plotData(question.type, question.parameters);
    const places = new Map(series.map(({ key }, place) => [key, place]));
    const values = new Map();
    for (const { column, values: points } of data.results) {
      for (const { datetime, value, id } of points) {
        const place = places.get(id === undefined ? column.name : `${column.name}:${id}`);
        const start = instant(datetime);
        if (!values.has(start)) values.set(start, new Array(series.length).fill(null));
        if (place !== undefined) values.get(start)[place] = value;
      }
    }
    if (this.series === series) this.values = values;
    return values;
  }

  async #fillTable() {
    if (!this.details.open || this.geometry === undefined) return;
    const { series, geometry } = this;
    let values;
    try {
      values = await this.#read();
    } catch (error) {
      if (error instanceof Failure) this.table.replaceChildren(note(sentence(error.message)));
      else throw error;
      return;
    }
    if (this.series !== series) return;
    const withTime = geometry.bucket < 86_400_000;
    const starts = [...values.keys()].sort((a, b) => b - a);
    const rows = starts.slice(0, ROWS).map((start) => h("tr", {},
      h("th", { scope: "row" }, moment(start, withTime)),
      values.get(start).map((value, place) => {
        const { units } = series[place];
        return h("td", {}, value === null ? "–" : h("data", { value, title: exactly(units, value) }, inUnits(units, value)));
      })));
    const head = h("tr", {}, h("th", { scope: "col" }, withTime ? "Hour" : "Day"), series.map(({ title }) => h("th", { scope: "col" }, h("bdi", {}, title))));
    const more = starts.length > ROWS ? note(`The latest ${ROWS} of ${starts.length}; the CSV has all.`) : null;
    const table = starts.length === 0 ? note("No values.") : h("table", {}, h("thead", {}, head), h("tbody", {}, rows));
    this.table.replaceChildren(table, ...(more ? [more] : []));
  }

  #listen() {
    const { plot } = this;
    let start = null;
    const x = (event) => event.clientX - this.picture.getBoundingClientRect().left;
    plot.addEventListener("pointermove", (event) => {
      if (this.geometry === undefined) return;
      if (start !== null && Math.abs(x(event) - start) > DRAG_PX) this.#select(start, x(event));
      else this.#point(this.#bucketAt(x(event)));
    });
    plot.addEventListener("pointerleave", () => start === null && this.#leave());
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch" || this.geometry === undefined) return;
      start = x(event);
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [from, to] = [Math.min(start, x(event)), Math.max(start, x(event))];
      start = null;
      this.selection.hidden = true;
      if (to - from > DRAG_PX) this.#zoomTo(this.#bucketAt(from), this.#bucketAt(to));
    });
    plot.addEventListener("pointercancel", () => {
      start = null;
      this.selection.hidden = true;
    });
    plot.addEventListener("keydown", (event) => this.#key(event));
    plot.addEventListener("blur", () => this.#leave());
  }

  #key(event) {
    if (this.geometry === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#count() - 1;
    const at = this.at ?? last + 1;
    const to = { ArrowLeft: at - 1, ArrowRight: this.at === undefined ? 0 : at + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) this.#point(Math.min(Math.max(to, 0), last), true);
    else if (event.key === "Escape") this.#leave();
    else if (event.key === "+" && this.at !== undefined) this.#zoomTo(Math.max(0, this.at - Math.ceil(last / 8)), Math.min(last, this.at + Math.ceil(last / 8)));
    else return;
    event.preventDefault();
  }

  #count() {
    const { from, to, bucket } = this.geometry;
    return Math.max(1, Math.round((to - from) / bucket));
  }

  #bucketAt(x) {
    const { left, width } = this.geometry;
    const part = (x / this.#scale() - left) / width;
    return Math.min(Math.max(Math.floor(part * this.#count()), 0), this.#count() - 1);
  }

  /**
   * The ratio of the shown width to the drawn width. It differs from 1 while the width changes, until the new picture is there.
   */
  #scale() {
    return (this.picture.firstElementChild?.getBoundingClientRect().width || this.geometry.total) / this.geometry.total;
  }

  #zoomTo(first, last) {
    const { from, bucket } = this.geometry;
    this.zoom(from + first * bucket, from + (last + 1) * bucket);
  }

  #select(a, b) {
    const { left, top, width, height } = this.geometry;
    const inside = (x) => Math.min(Math.max(x, left), left + width);
    const [from, to] = [inside(Math.min(a, b)), inside(Math.max(a, b))];
    Object.assign(this.selection.style, { left: `${from}px`, width: `${to - from}px`, top: `${top}px`, height: `${height}px` });
    this.selection.hidden = false;
    this.line.hidden = this.tip.hidden = true;
  }

  /** Shows the values of a bucket, and announces them if the pointer is not used. */
  async #point(place, isSpoken = false) {
    const { left, top, width, height, from, bucket, total } = this.geometry;
    this.at = place;
    const x = (left + ((place + 0.5) / this.#count()) * width) * this.#scale();
    Object.assign(this.line.style, { left: `${x}px`, top: `${top}px`, height: `${height}px` });
    this.line.hidden = false;
    let values;
    try {
      values = await this.#read();
    } catch (error) {
      if (error instanceof Failure) return this.#leave();
      throw error;
    }
    if (this.at !== place || this.line.hidden) return;
    const start = from + place * bucket;
    const when = moment(start, bucket < 86_400_000);
    const shown = this.series.map((one, number) => ({ ...one, value: values.get(start)?.[number] ?? null }))
      .filter(({ key }) => !this.question.hidden.includes(key));
    const rows = shown.map(({ title, color, units, value }) => {
      const swatch = h("span", { class: "swatch" });
      swatch.style.background = color;
      return h("tr", {}, h("th", { scope: "row" }, swatch, h("bdi", {}, title)), h("td", {}, inUnits(units, value)));
    });
    this.tip.replaceChildren(h("p", {}, when), h("table", {}, rows));
    this.tip.hidden = false;
    const room = this.plot.clientWidth - this.tip.offsetWidth;
    const isLeft = x > total / 2;
    this.tip.style.left = `${Math.max(0, Math.min(room, isLeft ? x - this.tip.offsetWidth - 12 : x + 12))}px`;
    if (isSpoken) {
      this.spoken.textContent = `${when}: ${shown.map(({ title, units, value }) => `${title} ${value === null ? "no value" : inUnits(units, value)}`).join(", ")}`;
    }
  }

  #leave() {
    this.at = undefined;
    this.line.hidden = this.tip.hidden = this.selection.hidden = true;
  }
}
