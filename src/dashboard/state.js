// The state of a page is its address, so everybody who opens the link sees the same.

const listeners = new Set();

/** Returns the parameters of the current address. */
export function current() {
  return new URLSearchParams(location.search);
}

/** Returns the address with some parameters changed. A parameter is a text, a list of texts, or null for none. */
export function changed(changes) {
  const next = current();
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of value === null ? [] : [value].flat()) next.append(name, one);
  }
  // These characters need no escape in a query, and the address is more readable without it.
  const query = next.toString().replaceAll("%3A", ":").replaceAll("%2F", "/").replaceAll("%2C", ",");
  return query === "" ? location.pathname : `${location.pathname}?${query}`;
}

/** Changes the address, and notifies the listeners. */
export function change(changes, { replace = false } = {}) {
  const next = changed(changes);
  if (next === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  tell();
}

/** Calls `listener` after each change of the address, also when the reader goes back. */
export function onChange(listener) {
  listeners.add(listener);
}

function tell() {
  for (const listener of listeners) listener();
}

addEventListener("popstate", tell);
