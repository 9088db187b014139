// Creates elements from code. Texts only ever become text nodes, so no name can become markup.

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

/** Creates an HTML element. Properties `on…` are listeners, all others are attributes. */
export function h(name, properties = {}, ...children) {
  return build(document.createElement(name), properties, children);
}

/** Creates an element of a picture (SVG). */
export function svg(name, properties = {}, ...children) {
  return build(document.createElementNS(SVG, name), properties, children);
}

/** A sentence about a part of the page, in the place of that part. */
export function note(text, kind = "note") {
  return h("p", { class: kind }, text);
}

/** Text from outside, which has its own direction of writing. */
export function name(text) {
  return h("bdi", { class: "name", title: text }, text);
}

/** Debounces `act`: returns a function that calls it once no further call has come for `wait_ms`. */
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
