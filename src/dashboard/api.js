// Asking the server, with the token that the reader gave, if the server wants one.

const TOKEN = "scale-metrics-token";
/** Where the server's paths begin: `/`, or behind what a proxy puts before them. */
export const ROOT = new URL("..", import.meta.url).pathname;
/** Answers that are kept to see whether anything changed. */
const KEPT = 200;

/** An answer that is none: `status` 0 if there was no answer at all. */
export class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** Whether it concerns all of the page rather than one question. */
  get isGeneral() {
    return this.status === 0 || this.status === 401 || this.status === 403;
  }
}

export function keepToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

const kept = new Map();

/** The body at `path`, as JSON or text. As long as nothing changes on the server it is the very same object. */
export async function read(path, form = "json") {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  let answer;
  try {
    // The browser asks with the tag that it has, and gets a few bytes if it is still the same.
    answer = await fetch(path, { headers, cache: "no-cache" });
  } catch {
    throw new Failure(0, "the server does not answer");
  }
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Failure(answer.status, body?.detail ?? `the server answers ${answer.status}`);
  }
  const tag = answer.headers.get("etag");
  const known = kept.get(path);
  if (known !== undefined && known.tag === tag && tag !== null) {
    kept.delete(path);
    kept.set(path, known);
    await answer.body?.cancel();
    return known.body;
  }
  let body;
  try {
    body = await answer[form]();
  } catch {
    throw new Failure(0, "the server's answer broke off");
  }
  kept.set(path, { tag, body });
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return body;
}

/** The path of what a metrics type answers. */
export function path(type, endpoint, parameters) {
  const query = new URLSearchParams(parameters);
  return `${ROOT}v6/metrics/${encodeURIComponent(type)}/${endpoint}?${query}`;
}

/** All choices of a metrics type, and its columns and groups. */
export function details(type) {
  return read(`${ROOT}v6/metrics/${encodeURIComponent(type)}/`);
}

/** Plot data, all columns' worth. */
export function plotData(type, parameters) {
  return read(path(type, "plot-data/", [...parameters, ["page_size", "1000"]]));
}

/** Saves a file that a link alone could not ask for, because of the token. */
export async function save(address, filename) {
  const text = await read(address, "text");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
