"use strict";

// Shows each metrics type's overview columns over the last days: today, the total, and a bar a day.

const DAYS = 30;
const DAY_MS = 86_400_000;
const SVG = "http://www.w3.org/2000/svg";

async function read(path) {
  const answer = await fetch(path);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function bars(values, today) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", `0 0 ${DAYS} 10`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${values.length} days with values`);
  const highest = Math.max(1, ...values.map((value) => value.value));
  for (const { datetime, value } of values) {
    const age = Math.round((today - Date.parse(`${datetime}Z`)) / DAY_MS);
    const height = (10 * value) / highest;
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("x", DAYS - 1 - age + 0.1);
    bar.setAttribute("y", 10 - height);
    bar.setAttribute("width", 0.8);
    bar.setAttribute("height", height);
    picture.append(bar);
  }
  return picture;
}

function overview(type, plot) {
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const rows = plot.results.map(({ column, values }) => {
    const total = values.reduce((sum, value) => sum + value.value, 0);
    const now = values.find((value) => Date.parse(`${value.datetime}Z`) === today)?.value ?? 0;
    const name = element("td", column.title);
    name.title = column.description;
    const picture = element("td", "", bars(values, today));
    return element("tr", "", name, element("td", now.toLocaleString()), element("td", total.toLocaleString()), picture);
  });
  const head = element("tr", "", ...["", "Today", `${DAYS} days`, "By day"].map((title) => element("th", title)));
  const table = element("table", "", element("thead", "", head), element("tbody", "", ...rows));
  const wide = element("div", "", table);
  wide.className = "wide";
  return element("section", "", element("h2", type.title), element("p", type.description), wide);
}

async function show() {
  const place = document.getElementById("types");
  try {
    const types = await read("/v6/metrics/");
    const sections = await Promise.all(types.results.map(async (type) => {
      const from = new Date(Date.now() - (DAYS - 1) * DAY_MS).toISOString();
      return overview(type, await read(`/v6/metrics/${type.name}/plot-data/?group=overview&started=${from}`));
    }));
    place.replaceChildren(...sections);
  } catch (error) {
    const note = element("p", `The numbers could not be read: ${error.message}`);
    note.className = "note";
    place.replaceChildren(note);
  }
}

show();
