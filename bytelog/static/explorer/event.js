// One event in full: its JSON, of which every value filters with one click.

import { dot } from "./colors.js";
import { copy, element, styled } from "./elements.js";
import { format, isContainer, said, written } from "./json.js";
import { full } from "./time.js";
import { filterBy } from "./view.js";

const LINES = 400;
const CHARACTERS = 400;
const COMPARABLE = 255; // characters: longer ones make no address to send to anybody
const DEPTH = 10; // how deep the API compares

export function show(box, event, actions, close) {
  const counter = { left: LINES };
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
      element("button", { onclick: () => copy(format(event), "the event") }, "Copy JSON"),
    ),
    element("time", { datetime: event.date }, full(event.date)),
    element("div", { class: "json", tabindex: 0, role: "group", "aria-label": "JSON" }, ...lines(event, [], counter)),
    ...(counter.left <= 0 ? [rest(box, event)] : []),
  );
  box.scrollTop = 0;
}

function rest(box, event) {
  const whole = () => {
    const text = element("pre", { class: "json", tabindex: 0 }, format(event));
    box.querySelector(".json").replaceWith(text);
    button.remove();
  };
  const button = element("button", { class: "more", onclick: whole }, "Show all of it");
  return button;
}

function lines(value, path, counter, name, comma = "") {
  if (counter.left-- <= 0) return [];
  const label = name === undefined ? "" : [element("span", { class: "name" }, JSON.stringify(name)), ": "];
  if (!isContainer(value)) return [line(path.length, ...label, leaf(value, path), comma)];
  const isList = Array.isArray(value);
  const [open, close] = isList ? "[]" : "{}";
  const members = Object.entries(value);
  if (!members.length) return [line(path.length, ...label, open + close + comma)];
  const inside = [];
  for (const [place, [key, it]] of members.entries()) {
    if (counter.left <= 0) break;
    const deeper = isList ? [...path, null] : [...path, key];
    inside.push(...lines(it, deeper, counter, isList ? undefined : key, place < members.length - 1 ? "," : ""));
  }
  return [line(path.length, ...label, open), ...inside, line(path.length, close + comma)];
}

function line(depth, ...parts) {
  return styled(element("div", {}, ...parts), { "padding-inline-start": `${depth * 1.25}em` });
}

function leaf(value, path) {
  const text = written(value);
  const kind = value === null ? "null" : typeof value === "string" ? "string" : "number";
  const filter = filterFor(value, path);
  if (filter) {
    const act = () => filterBy(...filter);
    return element("button", { class: `value ${kind}`, title: `Show events with ${filter.join("=")}`, onclick: act }, text);
  }
  if (text.length <= CHARACTERS) return element("span", { class: `value ${kind}` }, text);
  const shown = element("span", { class: `value ${kind}` }, `${text.slice(0, CHARACTERS)}…`);
  const more = () => shown.replaceWith(element("span", { class: `value ${kind}` }, text));
  shown.append(element("button", { class: "more", onclick: more }, `${text.length - CHARACTERS} more characters`));
  return shown;
}

function filterFor(value, path) {
  const [first, ...inside] = path;
  const text = said(value);
  if (!text || text.length > COMPARABLE) return undefined;
  if (["id", "name", "trace_id"].includes(first)) return [first, text];
  const isNamed = inside.every((name) => name !== null && name !== "" && !/[."\0]/.test(name));
  if (first !== "data" || !isNamed || inside.length > DEPTH) return undefined;
  return [path.join("."), text];
}
