// Runs the view that the address names.

import { ROOT } from "./api.js";
import { explorer } from "./explorer.js";
import { overview } from "./overview.js";
import { run } from "./shell.js";

const view = document.getElementById("view");
const isExplorer = location.pathname === `${ROOT}explorer/`;
document.title = `${isExplorer ? "Explorer" : "Overview"} · scale-metrics`;
for (const link of document.querySelectorAll(".top nav a")) {
  if (link.pathname === location.pathname) link.setAttribute("aria-current", "page");
}
run(isExplorer ? explorer(view) : overview(view));
