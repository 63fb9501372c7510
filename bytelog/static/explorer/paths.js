// How traces flow from one name to the next: as a diagram, as tables, and the traces behind them.

import { fetchPaths } from "./api.js";
import { assignColors } from "./colors.js";
import { drawFlow } from "./diagram.js";
import { byId, element } from "./elements.js";
import { cell, nameLabel, table } from "./tables.js";
import { TraceList } from "./tracelist.js";
import { SECOND, formatDuration, formatNumber, formatPercent } from "./time.js";
import { boundWindow, buildQuery, changeOptions, go, option, unfixed, view } from "./view.js";

const PADDING = 34; // left and right of the diagram
const MAX_ROWS = 60;

const box = byId("paths");
const traceBox = element("div", { class: "list traces", role: "listbox", tabindex: 0, "aria-label": "Traces" });
const traceCount = element("p", { role: "status" });
const traces = new TraceList(traceBox, "behind", (count, hasMore) => (traceCount.textContent = `${formatNumber(count)}${hasMore ? "+" : ""} found`));

let shown; // the counted paths
let request; // the signal of the view, and what reports a failure

export async function show(signal, onFailure) {
  request = { signal, onFailure };
  box.replaceChildren(element("p", { class: "loading" }, "Counting transitions…"));
  shown = await fetchPaths(buildQuery(), { signal });
  assignColors(shown.names.map(({ name }) => name));
  if (!shown.count) return box.replaceChildren(emptyNotice());
  draw();
  await listTraces();
}

function emptyNotice() {
  const showAll = () => go({ ...unfixed, last: "all" });
  return element(
    "div",
    { class: "empty" },
    element("h2", {}, "No events here"),
    element("p", {}, "No event matches these filters in this window."),
    element("button", { class: "primary", onclick: showAll }, "Show all time"),
  );
}

// What the reader has chosen; it is in the address.

const readFocus = () => ({ from: option("focus"), to: option("next"), isEnd: option("ends") === "true" });

function setFocus({ from, to, isEnd }) {
  go({ options: changeOptions({ focus: from, next: to, ends: isEnd && "true" }) }, { quiet: true });
  draw();
  traceBox.closest(".behind")?.scrollIntoView({ block: "nearest" });
  listTraces().catch(request.onFailure);
}

const isFocus = ({ from, to, isEnd = false }) => {
  const focus = readFocus();
  return focus.from === from && focus.to === to && focus.isEnd === isEnd;
};

const toggleFocus = (focus) => setFocus(isFocus(focus) ? {} : focus);

export function close() {
  if (!readFocus().from) return false;
  setFocus({});
  return true;
}

function toggleGood(name) {
  const { good } = view.options;
  const changed = good.includes(name) ? good.filter((other) => other !== name) : [...good, name];
  go({ options: changeOptions({ good: changed }) }, { quiet: true, replace: true });
  draw();
}

function draw() {
  const { count, traces: number } = shown;
  const summary = `${formatNumber(number)} ${number === 1 ? "trace" : "traces"}, ${formatNumber(count)} events`;
  const { good } = view.options;
  const legend = [["", "traces that end there"], ...(good.length ? [["good", "a good end"]] : [])];
  const scroll = box.querySelector(".flow")?.scrollLeft ?? 0;
  const svg = drawFlow(shown, box.clientWidth - 2 * PADDING, { focus: readFocus(), good, onFocus: toggleFocus });
  box.replaceChildren(
    element("header", {}, element("h2", {}, "Paths"), element("p", {}, summary), ...legend.map(([kind, text]) => element("p", { class: "key" }, element("i", { class: kind }), text))),
    element("div", { class: "flow", tabindex: 0, role: "group", "aria-label": "Flow from name to name" }, svg),
    ...tracePanel(),
    element("div", { class: "tables" }, transitionTable(), nameTable()),
  );
  box.querySelector(".flow").scrollLeft = scroll;
}

// The traces behind what is chosen

function describeFocus({ from, to, isEnd }) {
  if (to) return `Traces in which ${to} directly follows ${from}`;
  return isEnd ? `Traces that end at ${from}` : `Traces with ${from}`;
}

function tracePanel() {
  const focus = readFocus();
  if (!focus.from) return [];
  const close = element("button", { class: "quiet", "aria-label": "Close", onclick: () => setFocus({}) }, "✕");
  return [element("section", { class: "behind" }, element("header", {}, element("h3", {}, describeFocus(focus)), traceCount, close), traceBox)];
}

async function listTraces() {
  const { from, to, isEnd } = readFocus();
  if (!from) return;
  traceCount.textContent = "Searching…";
  const transition = [["sequence", from], ["sequence", to]];
  const conditions = to ? transition : [[isEnd ? "ending" : "having", from]];
  await traces.show([...view.filters, ...boundWindow(), ...conditions], request);
}

// Tables

function focusButton(focus, ...content) {
  return element("button", { class: "link", "aria-pressed": String(isFocus(focus)), title: describeFocus(focus), onclick: () => toggleFocus(focus) }, ...content);
}

function transitionTable() {
  const { from: chosen, to: chosenNext } = readFocus();
  const countOf = new Map(shown.names.map(({ name, count }) => [name, count]));
  const transitions = shown.transitions.filter(({ from, to }) => !chosen || from === chosen || to === chosen);
  const rows = transitions.slice(0, MAX_ROWS).map(({ from, to, count, median_seconds: seconds }) =>
    element(
      "tr",
      { class: chosen === from && chosenNext === to ? "chosen" : "" },
      element("td", {}, focusButton({ from, to }, nameLabel(from), element("span", { class: "arrow" }, "→"), nameLabel(to))),
      cell(formatNumber(count)),
      cell(focusButton({ from, to }, formatPercent(count, countOf.get(from)))),
      cell(formatDuration(seconds * SECOND)),
    ),
  );
  return table(chosen ? `Before and after ${chosen}` : "Transitions", ["Step", "Times", "Share", "Median delay"], rows);
}

function nameTable() {
  const { good } = view.options;
  const rows = shown.names.slice(0, MAX_ROWS).map(({ name, count, starts, ends }) => {
    const check = element("input", { type: "checkbox", checked: good.includes(name), "aria-label": `${name} is a good end`, onchange: () => toggleGood(name) });
    return element(
      "tr",
      { class: isFocus({ from: name }) ? "chosen" : "" },
      element("td", {}, focusButton({ from: name }, nameLabel(name))),
      cell(formatNumber(count)),
      cell(formatNumber(starts)),
      cell(ends ? focusButton({ from: name, isEnd: true }, `${formatNumber(ends)} · ${formatPercent(ends, count)}`) : "0"),
      cell(check),
    );
  });
  return table("Where traces start and end", ["Name", "Events", "Start", "End", "Good end"], rows);
}
