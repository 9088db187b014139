// The frame around a view: refreshes it while the page is visible, shows how old the data is, and asks for a token.

import { Failure, hasToken, keepToken } from "./api.js";
import { sentence } from "./format.js";
import { onChange } from "./state.js";

const REFRESH_MS = 30_000;
const RETRY_MS = 5_000;

const freshness = document.getElementById("freshness");
const banner = document.getElementById("banner");
const view = document.getElementById("view");
const dialog = document.getElementById("token");

/** Shows a view now, after each change of the address, and regularly while the page is visible. */
export function run(show) {
  let timer;
  let round = 0;
  let last = null;

  async function update() {
    clearTimeout(timer);
    round += 1;
    const mine = round;
    view.setAttribute("aria-busy", "true");
    let wait = REFRESH_MS;
    try {
      await show(() => mine === round);
      if (mine !== round) return;
      last = new Date();
      banner.hidden = true;
      view.classList.remove("stale");
      freshness.textContent = `As of ${last.toISOString().slice(11, 19)} UTC`;
    } catch (error) {
      if (mine !== round) return;
      wait = fail(error, last);
    }
    view.removeAttribute("aria-busy");
    timer = setTimeout(() => document.hidden || update(), wait);
  }

  onChange(update);
  document.addEventListener("visibilitychange", () => document.hidden || update());
  addEventListener("online", update);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  dialog.addEventListener("close", () => {
    const form = dialog.querySelector("form");
    const token = new FormData(form).get("token");
    form.reset();
    if (token) {
      keepToken(token.trim());
      update();
    }
  });
  update();
}

/** Shows an error that concerns the whole page. Returns when to try again. */
function fail(error, last) {
  if (!(error instanceof Failure)) {
    console.error(error);
    tell(`This page has a fault: ${error.message}`);
    return REFRESH_MS;
  }
  if (error.status === 401 || error.status === 403) {
    document.getElementById("token-why").textContent = hasToken() ? `The last one was refused: ${error.message}` : "";
    if (!dialog.open) dialog.showModal();
    return 2 ** 31 - 1;
  }
  const since = last === null ? "" : ` What is shown is as of ${last.toISOString().slice(11, 19)} UTC.`;
  view.classList.add("stale");
  tell(`${sentence(error.message)} Trying again every ${RETRY_MS / 1000} seconds.${since}`);
  return RETRY_MS;
}

function tell(text) {
  if (banner.hidden || banner.textContent !== text) banner.textContent = text;
  banner.hidden = false;
}
