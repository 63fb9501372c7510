// One event in full: its JSON, in which a click on a value filters by it.

import { dot } from "./colors.js";
import { copy, element, setStyle } from "./elements.js";
import { nameMember, writeFilter } from "./grammar.js";
import { entriesOf, filterTextOf, formatJson, isContainer, sourceOf } from "./json.js";
import { formatFull } from "./time.js";
import { filterBy } from "./view.js";

const MAX_LINES = 400;
const MAX_CHARACTERS = 400; // of one value
const MAX_FILTER_CHARACTERS = 255; // a longer value makes an address that is too long to share
const MAX_FILTER_DEPTH = 10; // the API compares no deeper members

export function show(box, event, actions, close) {
  const counter = { left: MAX_LINES };
  box.replaceChildren(
    element(
      "header",
      {},
      dot(event.name),
      element("h2", {}, element("bdi", {}, event.name)),
      ...(close ? [element("button", { class: "quiet", "aria-label": "Close", onclick: close }, "✕")] : []),
    ),
    element(
      "p",
      { class: "actions" },
      ...actions,
      element("button", { onclick: () => copy(formatJson(event), "the event") }, "Copy JSON"),
    ),
    element("time", { datetime: event.date }, formatFull(event.date)),
    element("div", { class: "json", tabindex: 0, role: "group", "aria-label": "JSON" }, ...renderLines(event, [], counter)),
    ...(counter.left <= 0 ? [showAllButton(box, event)] : []),
  );
  box.scrollTop = 0;
}

function showAllButton(box, event) {
  const showAll = () => {
    const text = element("pre", { class: "json", tabindex: 0 }, formatJson(event));
    box.querySelector(".json").replaceWith(text);
    button.remove();
  };
  const button = element("button", { class: "more", onclick: showAll }, "Show all");
  return button;
}

function renderLines(value, path, counter, name, comma = "") {
  if (counter.left-- <= 0) return [];
  const label = name === undefined ? "" : [element("span", { class: "name" }, JSON.stringify(name)), ": "];
  if (!isContainer(value)) return [renderLine(path.length, ...label, renderValue(value, path), comma)];
  const isList = Array.isArray(value);
  const [open, close] = isList ? "[]" : "{}";
  const members = entriesOf(value);
  if (!members.length) return [renderLine(path.length, ...label, open + close + comma)];
  const lines = [];
  for (const [index, [key, member]] of members.entries()) {
    if (counter.left <= 0) break;
    const memberPath = [...path, isList ? null : key];
    const memberComma = index < members.length - 1 ? "," : "";
    lines.push(...renderLines(member, memberPath, counter, isList ? undefined : key, memberComma));
  }
  return [renderLine(path.length, ...label, open), ...lines, renderLine(path.length, close + comma)];
}

function renderLine(depth, ...parts) {
  return setStyle(element("div", {}, ...parts), { "padding-inline-start": `${depth * 1.25}em` });
}

function renderValue(value, path) {
  const text = sourceOf(value);
  const kind = value === null ? "null" : typeof value === "string" ? "string" : "number";
  const filter = filterFor(value, path);
  if (filter) {
    const title = `Show events with ${writeFilter(filter)}`;
    return element("button", { class: `value ${kind}`, title, onclick: () => filterBy(...filter) }, text);
  }
  if (text.length <= MAX_CHARACTERS) return element("span", { class: `value ${kind}` }, text);
  const beginning = element("span", { class: `value ${kind}` }, `${text.slice(0, MAX_CHARACTERS)}…`);
  const showAll = () => beginning.replaceWith(element("span", { class: `value ${kind}` }, text));
  beginning.append(element("button", { class: "more", onclick: showAll }, `${text.length - MAX_CHARACTERS} more characters`));
  return beginning;
}

// Returns the filter for a value, or undefined if the API cannot compare it.
function filterFor(value, path) {
  const [field, ...members] = path;
  const text = filterTextOf(value);
  if (!text || text.length > MAX_FILTER_CHARACTERS) return undefined;
  if (["id", "name", "trace_id"].includes(field)) return [field, text];
  const areNamed = members.every((name) => name !== null && name !== "" && !/["\0]/.test(name));
  if (field !== "data" || !areNamed || members.length > MAX_FILTER_DEPTH) return undefined;
  return [nameMember(members), text];
}
