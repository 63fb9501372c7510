// Exports the view: as a file, or as a curl command.

import { buildUrl, request } from "./api.js";
import { writeTable } from "./csv.js";
import { byId, copy, element, notify } from "./elements.js";
import { buildSteps } from "./funnel.js";
import { buildConditions } from "./traces.js";
import { buildQuery, view } from "./view.js";

const FORMATS = { ndjson: "application/x-ndjson", csv: "text/csv", table: "application/x-ndjson" };

const menu = byId("share-menu");
const button = byId("share");

export function listen(onFailure) {
  button.addEventListener("click", () => toggle(menu.hidden));
  addEventListener("click", (event) => !event.target.closest("#share, #share-menu") && toggle(false));
  menu.addEventListener("keydown", (event) => event.key === "Escape" && (toggle(false), button.focus()));
  menu.addEventListener("click", (event) => {
    const { action } = event.target.dataset;
    toggle(false);
    if (action === "curl") copy(buildCommand(), "the command");
    else if (action) download(action).catch(onFailure);
  });
}

function toggle(isShown) {
  menu.hidden = !isShown;
  button.setAttribute("aria-expanded", String(isShown));
}

// Returns the path and the query of the request behind the view.
function describeRequest() {
  if (view.tab === "trace") return [`/trace/${encodeURIComponent(view.trace)}`, []];
  if (view.tab === "events") return ["", [...buildQuery(), ["order", "newest"]]];
  const own = { traces: buildConditions, funnel: buildSteps }[view.tab] ?? (() => []);
  return [`/${view.tab}`, [...buildQuery(), ...own(view.options)]];
}

async function download(format) {
  const [path, query] = ["events", "trace"].includes(view.tab) ? describeRequest() : ["", buildQuery()];
  const file = `events.${format === "table" ? "csv" : format}`;
  notify("Downloading…", 0);
  const response = await request(path, query, { accept: FORMATS[format] });
  // A spreadsheet reads UTF-8 only after a byte order mark.
  const blob = format === "table" ? new Blob(["\ufeff", writeTable(await response.text())], { type: "text/csv" }) : await response.blob();
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be reading it
  notify(`Downloaded ${file}.`);
}

function buildCommand() {
  const [path, query] = describeRequest();
  const url = new URL(buildUrl(path, query), location.href).href;
  return `curl ${quote(url)} -H "Authorization: Bearer $BYTELOG_API_KEY"`;
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
