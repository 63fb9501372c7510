// The number of events of each name, or what else the histogram shows, next to it.

import { colorOf, dot } from "./colors.js";
import { byId, element, setStyle } from "./elements.js";
import { formatNumber } from "./time.js";
import { filterBy, go, valuesOf, view } from "./view.js";

const MAX_NAMES = 100;
const MOVES = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

const box = byId("names");

export function show(entries) {
  const highest = entries[0]?.[1];
  const more = entries.length - MAX_NAMES;
  const hadFocus = box.contains(document.activeElement) && document.activeElement.dataset.name;
  box.replaceChildren(
    ...entries.slice(0, MAX_NAMES).map(([name, count, group]) => nameButton(name, Math.max(0, count / highest) || 0, group ?? { filter: ["name", name], text: formatNumber(count) })),
    ...(more > 0 ? [element("p", {}, `and ${formatNumber(more)} more names`)] : []),
  );
  const buttons = [...box.querySelectorAll("button")];
  const current = buttons.find((button) => button.dataset.name === hadFocus);
  makeReachable(current ?? buttons[0]);
  current?.focus();
}

// The names are one stop of the Tab key; arrow keys move between them.
function makeReachable(button) {
  for (const other of box.querySelectorAll("button")) other.tabIndex = other === button ? 0 : -1;
}

box.addEventListener("keydown", (event) => {
  if (!(event.key in MOVES)) return;
  event.preventDefault();
  const buttons = [...box.querySelectorAll("button")];
  const index = buttons.indexOf(document.activeElement) + MOVES[event.key];
  const button = buttons[Math.max(0, Math.min(index, buttons.length - 1))];
  makeReachable(button);
  button.focus();
});

function nameButton(name, share, { filter, text }) {
  const [field, value] = filter;
  const isSelected = valuesOf(field).includes(value);
  const showAll = () => go({ filters: view.filters.filter(([other]) => other !== field) });
  const bar = setStyle(element("i", { class: "bar" }), { background: colorOf(name), "inline-size": `${share * 100}%` });
  return element(
    "button",
    {
      "aria-pressed": String(isSelected),
      "data-name": name,
      title: isSelected ? "Show all" : `Show only ${name}`,
      onclick: () => (isSelected ? showAll() : filterBy(field, value)),
    },
    dot(name),
    element("bdi", {}, name),
    element("em", {}, text),
    element("span", { class: "track" }, bar),
  );
}
