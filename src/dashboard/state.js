// The state of a page is its address: whoever gets the link sees the same.

const listeners = new Set();

/** What the address says now. */
export function current() {
  return new URLSearchParams(location.search);
}

/** The address with some parameters changed: a text, a list of texts, or null for none. */
export function changed(changes) {
  const next = current();
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const one of value === null ? [] : [value].flat()) next.append(name, one);
  }
  // Readable addresses: these characters need no escape in a query.
  const query = next.toString().replaceAll("%3A", ":").replaceAll("%2F", "/").replaceAll("%2C", ",");
  return query === "" ? location.pathname : `${location.pathname}?${query}`;
}

/** Changes the address, and whatever depends on it. */
export function change(changes, { replace = false } = {}) {
  const next = changed(changes);
  if (next === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", next);
  tell();
}

/** Calls `listener` whenever the address has changed, and on the way back, too. */
export function onChange(listener) {
  listeners.add(listener);
}

function tell() {
  for (const listener of listeners) listener();
}

addEventListener("popstate", tell);
