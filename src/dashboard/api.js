// Requests to the server, with the token that the reader entered, if the server requires one.

const TOKEN = "scale-metrics-token";
/** The root of the server's paths: `/`, or a prefix that a proxy puts before them. */
export const ROOT = new URL("..", import.meta.url).pathname;
/** The number of cached answers. They show whether anything changed. */
const KEPT = 200;

/** A request that failed. `status` is 0 if there was no answer at all. */
export class Failure extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** Whether the failure concerns the whole page rather than one request. */
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

/** Returns the body at `path`, as JSON or text. While nothing changes on the server, it returns the same object. */
export async function read(path, form = "json") {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  let answer;
  try {
    // The browser sends the tag of its cached answer, and gets a few bytes if that is still valid.
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

/** The path of an endpoint of a metrics type. */
export function path(type, endpoint, parameters) {
  // Times on the pages are in UTC, whatever zone the settings of the server name.
  const query = new URLSearchParams([...parameters, ["timezone", "UTC"]]);
  return `${ROOT}v6/metrics/${encodeURIComponent(type)}/${endpoint}?${query}`;
}

/** All choices of a metrics type, and its columns and groups. */
export function details(type) {
  return read(`${ROOT}v6/metrics/${encodeURIComponent(type)}/`);
}

/** Reads the plot data of all columns, as one page. */
export function plotData(type, parameters) {
  return read(path(type, "plot-data/", [...parameters, ["page_size", "1000"]]));
}

/** Saves a file that a plain link could not request, because it needs the token. */
export async function save(address, filename) {
  const text = await read(address, "text");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
