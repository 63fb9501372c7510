// The filter field and its suggestions.

import { byId, element } from "./elements.js";
import { describeFilter } from "./grammar.js";
import { entriesOf, isContainer } from "./json.js";
import { formatNumber } from "./time.js";
import { addFilters, removeFilter, view } from "./view.js";

const MAX_SUGGESTIONS = 8; // of each kind
const MAX_FIELDS = 200;
const FILTER = /^\s*(name|trace_id|id|data\.[^=]+?)\s*=\s*(.+?)\s*$/s;
const PLACEHOLDER = "Filter by a name, a trace id, or data.field=value";

let counts = []; // names and their events
let fields = []; // members of `data`, as the API names them
let suggestions = [];
let selected = -1;

const input = byId("search");
const menu = byId("suggestions");

export function setCounts(names) {
  counts = names;
}

// Collects the members of `data` of these events, to suggest them.
export function collectFields(events) {
  const known = new Set(fields);
  for (const { data } of events.slice(0, 50)) {
    for (const [name, value] of entriesOf(data).slice(0, 20)) {
      if (!isContainer(value) && !/[."\0]/.test(name) && name) known.add(`data.${name}`);
    }
  }
  fields = [...known].sort().slice(0, MAX_FIELDS);
}

export function show() {
  byId("chips").replaceChildren(
    ...view.filters.map((filter, index) => {
      const [field, sign, value] = describeFilter(filter);
      return element(
        "li",
        {},
        element("span", {}, element("span", { class: "name" }, field + sign), element("bdi", {}, value)),
        element("button", { "aria-label": `Remove ${field || "text"}`, onclick: () => remove(index) }, "✕"),
      );
    }),
  );
  input.placeholder = view.filters.length ? "" : PLACEHOLDER;
}

export function listen() {
  input.addEventListener("input", suggest);
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", onKey);
}

function remove(index) {
  removeFilter(index);
  input.focus();
}

function suggest() {
  const text = input.value.trim();
  suggestions = text ? findSuggestions(text) : suggestNames(counts);
  select(text && suggestions.length ? 0 : -1);
}

const suggestNames = (entries) =>
  entries.slice(0, MAX_SUGGESTIONS).map(([name, count]) => ({ field: "name", value: name, note: formatNumber(count) }));

function findSuggestions(text) {
  const filter = FILTER.exec(text);
  if (filter) return [{ field: filter[1], value: filter[2], note: "filter" }];
  const prefix = text.toLowerCase();
  const names = counts.filter(([name]) => name.toLowerCase().includes(prefix));
  const matches = ["name", "trace_id", "id", ...fields].filter((field) => field.startsWith(prefix));
  return [
    ...suggestNames(names),
    ...matches.slice(0, MAX_SUGGESTIONS).map((field) => ({ field, note: "field" })),
    { field: "trace_id", value: text, note: "trace" },
    ...(/^-?\d{1,19}$/.test(text) ? [{ field: "id", value: text, note: "id" }] : []),
  ];
}

function select(index) {
  selected = index;
  menu.replaceChildren(...suggestions.map(suggestionItem));
  menu.hidden = !suggestions.length;
  input.setAttribute("aria-expanded", String(!menu.hidden));
  if (selected < 0) input.removeAttribute("aria-activedescendant");
  else input.setAttribute("aria-activedescendant", `suggestion-${selected}`);
}

function suggestionItem(suggestion, index) {
  const { field, value, note } = suggestion;
  return element(
    "li",
    {
      role: "option",
      id: `suggestion-${index}`,
      "aria-selected": String(index === selected),
      onmousedown: (event) => (event.preventDefault(), accept(suggestion)),
    },
    element("span", { class: "name" }, `${field}=`),
    element("bdi", {}, value ?? "…"),
    element("em", {}, note),
  );
}

function hide() {
  suggestions = [];
  select(-1);
}

function accept({ field, value }) {
  if (value === undefined) {
    input.value = `${field}=`;
    suggest();
    return;
  }
  input.value = "";
  hide();
  addFilters([[field, value]]);
}

function onKey(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    if (suggestions.length) select((selected + step + suggestions.length) % suggestions.length);
  } else if (event.key === "Enter" && suggestions[selected]) {
    accept(suggestions[selected]);
  } else if (event.key === "Escape") {
    input.value = "";
    hide();
    byId("list").focus();
  } else if (event.key === "Backspace" && !input.value && view.filters.length) {
    remove(view.filters.length - 1);
  }
}
