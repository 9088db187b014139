// Elements from code. Texts only ever become text nodes, so no name can become markup.

const SVG = "http://www.w3.org/2000/svg";

function build(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An HTML element: `on…` properties are listeners, all others attributes. */
export function h(name, properties = {}, ...children) {
  return build(document.createElement(name), properties, children);
}

/** An element of a picture. */
export function svg(name, properties = {}, ...children) {
  return build(document.createElementNS(SVG, name), properties, children);
}

/** A sentence about something, in the place of it. */
export function note(text, kind = "note") {
  return h("p", { class: kind }, text);
}

/** Text from outside, whose direction is its own. */
export function name(text) {
  return h("bdi", { class: "name", title: text }, text);
}

/** Calls `act` when nothing has happened for a moment. */
export function calmly(act, wait_ms = 150) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), wait_ms);
  };
}

let ids = 0;

/** An id that no other element has. */
export function freshId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}
