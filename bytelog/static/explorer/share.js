// Taking a view elsewhere: as a file, or as a command.

import { address, ask } from "./api.js";
import { byId, copy, element, tell } from "./elements.js";
import { question, view } from "./view.js";

const FORMS = { ndjson: "application/x-ndjson", csv: "text/csv" };

const menu = byId("share-menu");
const button = byId("share");

export function listen(onFailure) {
  button.addEventListener("click", () => toggle(menu.hidden));
  addEventListener("click", (event) => !event.target.closest("#share, #share-menu") && toggle(false));
  menu.addEventListener("keydown", (event) => event.key === "Escape" && (toggle(false), button.focus()));
  menu.addEventListener("click", (event) => {
    const { action } = event.target.dataset;
    toggle(false);
    if (action === "curl") copy(curl(), "the command");
    else if (action) download(action).catch(onFailure);
  });
}

function toggle(shown) {
  menu.hidden = !shown;
  button.setAttribute("aria-expanded", String(shown));
}

// What the view shows, as the API is asked for it.
function shown() {
  if (view.tab === "trace") return [`/trace/${encodeURIComponent(view.trace)}`, []];
  return view.tab === "paths" ? ["/paths", question()] : ["", [...question(), ["order", "newest"]]];
}

async function download(form) {
  const [path, query] = view.tab === "paths" ? ["", question()] : shown();
  tell("Downloading…", 0);
  const blob = await (await ask(path, query, { accept: FORMS[form] })).blob();
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: `events.${form}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be reading it
  tell(`Downloaded events.${form}.`);
}

function curl() {
  const [path, query] = shown();
  const url = new URL(address(path, query), location.href).href;
  return `curl ${quoted(url)} -H "Authorization: Bearer $BYTELOG_API_KEY"`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
