// The field that filters, and its suggestions.

import { byId, element } from "./elements.js";
import { isContainer } from "./json.js";
import { number } from "./time.js";
import { filterBy, removeFilter, view } from "./view.js";

const MOST = 8;
const WRITTEN = /^\s*(name|trace_id|id|data\.[^=]+?)\s*=\s*(.+?)\s*$/s;

let counts = {};
let members = [];
let choices = [];
let chosen = -1;

const input = byId("search");
const menu = byId("suggestions");

export function know(names) {
  counts = names;
}

// The members of `data` that the events at hand have, to be suggested.
export function learn(events) {
  const found = new Set(members);
  for (const { data } of events.slice(0, 50)) {
    for (const [name, value] of Object.entries(data).slice(0, 20)) {
      if (!isContainer(value) && !/[."\0]/.test(name) && name) found.add(`data.${name}`);
    }
  }
  members = [...found].sort().slice(0, 200);
}

export function show() {
  byId("chips").replaceChildren(
    ...[...view.filters].map(([name, value]) =>
      element(
        "li",
        {},
        element("span", {}, element("span", { class: "name" }, `${name}=`), element("bdi", {}, value)),
        element("button", { "aria-label": `Remove ${name}`, onclick: () => remove(name) }, "✕"),
      ),
    ),
  );
  byId("search").placeholder = view.filters.size ? "" : "Filter: a name, a trace id, data.field=value";
}

export function listen() {
  input.addEventListener("input", suggest);
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", hide);
  input.addEventListener("keydown", onKey);
  addEventListener("keydown", (event) => {
    const isTyping = /INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName);
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    input.focus();
  });
}

function remove(name) {
  removeFilter(name);
  input.focus();
}

function suggest() {
  const text = input.value.trim();
  choices = text ? matching(text) : most();
  choose(text && choices.length ? 0 : -1);
}

const most = () =>
  Object.entries(counts).slice(0, MOST).map(([name, value]) => ({ field: "name", value: name, note: number(value) }));

function matching(text) {
  const filter = WRITTEN.exec(text);
  if (filter) return [{ field: filter[1], value: filter[2], note: "filter" }];
  const wanted = text.toLowerCase();
  const names = Object.entries(counts).filter(([name]) => name.toLowerCase().includes(wanted));
  const fields = ["name", "trace_id", "id", ...members].filter((name) => name.startsWith(wanted));
  return [
    ...names.slice(0, MOST).map(([name, value]) => ({ field: "name", value: name, note: number(value) })),
    ...fields.slice(0, MOST).map((field) => ({ field, note: "field" })),
    { field: "trace_id", value: text, note: "trace" },
    ...(/^-?\d{1,19}$/.test(text) ? [{ field: "id", value: text, note: "id" }] : []),
  ];
}

function choose(place) {
  chosen = place;
  menu.replaceChildren(
    ...choices.map(({ field, value, note }, number) =>
      element(
        "li",
        {
          role: "option",
          id: `suggestion-${number}`,
          "aria-selected": String(number === chosen),
          onmousedown: (event) => (event.preventDefault(), take(choices[number])),
        },
        element("span", { class: "name" }, `${field}=`),
        element("bdi", {}, value ?? "…"),
        element("em", {}, note),
      ),
    ),
  );
  menu.hidden = !choices.length;
  input.setAttribute("aria-expanded", String(!menu.hidden));
  if (chosen < 0) input.removeAttribute("aria-activedescendant");
  else input.setAttribute("aria-activedescendant", `suggestion-${chosen}`);
}

function hide() {
  choices = [];
  choose(-1);
}

function take({ field, value }) {
  if (value === undefined) {
    input.value = `${field}=`;
    suggest();
    return;
  }
  input.value = "";
  hide();
  filterBy(field, value);
}

function onKey(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    if (choices.length) choose((chosen + step + choices.length) % choices.length);
  } else if (event.key === "Enter" && choices[chosen]) {
    take(choices[chosen]);
  } else if (event.key === "Escape") {
    input.value = "";
    input.blur();
    event.stopPropagation();
  } else if (event.key === "Backspace" && !input.value && view.filters.size) {
    remove([...view.filters.keys()].at(-1));
  }
}
