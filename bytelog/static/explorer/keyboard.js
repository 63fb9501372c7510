// Keys that work anywhere on the page.

import { byId, element, findList, focusList } from "./elements.js";
import { go, view } from "./view.js";
import { zoomOut } from "./window.js";

const KEYS = [
  ["/", "Go to the search"],
  ["↓ ↑ or j k", "Go to the list, and move through it"],
  ["Enter", "Open the event or the trace"],
  ["t", "Show the trace of the event"],
  ["[ ]", "Show the trace before or after"],
  ["-", "Zoom out: show twice the time"],
  ["Esc", "Close, or go back; the list has the focus again"],
  ["?", "Show these keys"],
];
const MOVES = { ArrowDown: "ArrowDown", ArrowUp: "ArrowUp", j: "ArrowDown", k: "ArrowUp" };

// What uses arrow keys itself: fields, lists, and boxes that scroll.
const USES_ARROWS = "input, select, textarea, dialog, [tabindex='0']";

const help = byId("help");

export function listen(views) {
  byId("keys").addEventListener("click", showHelp);
  addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, select, textarea, dialog");
    if (event.defaultPrevented || isTyping || event.ctrlKey || event.metaKey || event.altKey || byId("app").hidden) return;
    if (event.key === "Escape") return leave(views);
    const act = actionFor(event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function actionFor({ key, target }) {
  if (key === "/") return () => byId("search").focus();
  if (key === "?") return showHelp;
  if (key === "-") return zoomOut;
  const usesKey = target.closest?.(key.length > 1 ? USES_ARROWS : "[role=listbox]");
  const list = findList();
  return key in MOVES && list && !usesKey ? () => enter(list, MOVES[key]) : undefined;
}

function enter(list, key) {
  list.focus();
  list.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: false }));
}

function leave(views) {
  if (view.tab === "trace") return go({ tab: view.origin ?? "events" });
  if (views[view.tab].close?.()) focusList();
}

function showHelp() {
  const rows = KEYS.map(([keys, text]) => element("tr", {}, element("td", {}, element("kbd", {}, keys)), element("td", {}, text)));
  const close = element("button", { class: "quiet", "aria-label": "Close", onclick: () => help.close() }, "✕");
  help.replaceChildren(
    element("header", {}, element("h2", { id: "help-title" }, "Keys"), close),
    element("table", {}, element("tbody", {}, ...rows)),
  );
  help.showModal();
}
