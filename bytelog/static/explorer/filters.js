// The search: the filters of the view, a field to write more, and its suggestions.

import { assignColors } from "./colors.js";
import { byId, element, focusList } from "./elements.js";
import { describeFilter, isCountable, parseFilter, writeFilter } from "./grammar.js";
import { describeWindow, listValues } from "./members.js";
import { suggest } from "./suggestions.js";
import { addFilters, removeFilter, view } from "./view.js";

const PLACEHOLDER = "Search for text, or write plan=pro, amount>100, name^=pay …";
const PAUSE_MILLISECONDS = 150; // after a letter, before values are requested
const NOTHING = { names: [], members: [] };

let described = NOTHING;
let values = []; // of the field that is written
let suggestions = [];
let selected = -1;
let timer;

const input = byId("search");
const menu = byId("suggestions");

export function show() {
  byId("chips").replaceChildren(
    ...view.filters.map((filter, index) =>
      element(
        "li",
        {},
        element("button", { title: "Edit", onclick: () => edit(index) }, ...filterLabel(filter)),
        element("button", { "aria-label": `Remove ${describeFilter(filter)[0] || "text"}`, onclick: () => remove(index) }, "✕"),
      ),
    ),
  );
  input.placeholder = view.filters.length ? "" : PLACEHOLDER;
}

export function listen() {
  input.addEventListener("input", () => update(true));
  input.addEventListener("focus", () => update(true));
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", onKey);
}

function filterLabel(filter) {
  const [field, sign, value] = describeFilter(filter);
  return [element("span", { class: "name" }, field + sign), element("bdi", {}, value)];
}

function edit(index) {
  const text = writeFilter(view.filters[index]);
  removeFilter(index);
  input.value = text;
  input.focus();
}

function remove(index) {
  removeFilter(index);
  input.focus();
  hide(); // suggestions would cover the events
}

// Offers what is known, and offers more when an answer arrives.
function update(isNew) {
  const text = input.value.trim();
  const chosen = !isNew && suggestions[selected];
  suggestions = suggest(text, described, values);
  const index = chosen ? suggestions.findIndex((other) => JSON.stringify(other.filters) === JSON.stringify(chosen.filters)) : -1;
  select(index >= 0 ? index : suggestions[0]?.isExact ? 0 : -1);
  if (isNew) learn(text);
}

function learn(text) {
  clearTimeout(timer);
  values = [];
  const isCurrent = () => input.value.trim() === text;
  const refresh = () => document.activeElement === input && isCurrent() && update(false);
  timer = setTimeout(async () => {
    // Without suggestions the search still works: a failure shows when the reader searches.
    described = await describeWindow().catch(() => NOTHING);
    assignColors(described.names.map(([name]) => name));
    refresh();
    const [parameter = ""] = parseFilter(text, described.members.map(({ name }) => name)) ?? [];
    const field = parameter.replace(/\[(?!exists)\w+\]$/, "");
    if (!isCurrent() || !isCountable(field)) return;
    const found = await listValues(field).catch(() => []);
    if (!isCurrent()) return;
    values = found;
    refresh();
  }, PAUSE_MILLISECONDS);
}

function select(index) {
  selected = index;
  menu.replaceChildren(...suggestions.map(suggestionItem));
  menu.hidden = !suggestions.length;
  input.setAttribute("aria-expanded", String(!menu.hidden));
  if (selected < 0) input.removeAttribute("aria-activedescendant");
  else input.setAttribute("aria-activedescendant", `suggestion-${selected}`);
  byId(`suggestion-${selected}`)?.scrollIntoView({ block: "nearest" });
}

function suggestionItem(suggestion, index) {
  const { filters, text, note } = suggestion;
  const label = filters ? filters.flatMap((filter, position) => [...(position ? [" and "] : []), ...filterLabel(filter)]) : [element("span", { class: "name" }, text), element("bdi", {}, "…")];
  return element(
    "li",
    {
      role: "option",
      id: `suggestion-${index}`,
      "aria-selected": String(index === selected),
      onmousedown: (event) => (event.preventDefault(), accept(suggestion)),
    },
    element("span", {}, ...label),
    element("em", {}, note),
  );
}

function hide() {
  clearTimeout(timer);
  suggestions = [];
  select(-1);
}

function accept({ filters, text }) {
  input.value = text ?? "";
  if (text) return update(true);
  hide();
  addFilters(filters);
}

function onKey(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    if (suggestions.length) select(selected < 0 && step < 0 ? suggestions.length - 1 : (selected + step + suggestions.length) % suggestions.length);
  } else if (event.key === "Enter" && suggestions[selected]) {
    accept(suggestions[selected]);
  } else if (event.key === "Escape") {
    input.value = "";
    hide();
    focusList();
  } else if (event.key === "Backspace" && !input.value && view.filters.length) {
    remove(view.filters.length - 1);
  }
}
