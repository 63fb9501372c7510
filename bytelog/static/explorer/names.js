// The number of events of each name, next to the histogram.

import { colorOf, dot } from "./colors.js";
import { byId, element, setStyle } from "./elements.js";
import { formatNumber } from "./time.js";
import { filterBy, removeFilter, view } from "./view.js";

const MAX_NAMES = 100;

export function show(entries) {
  const highest = entries[0]?.[1];
  const more = entries.length - MAX_NAMES;
  byId("names").replaceChildren(
    ...entries.slice(0, MAX_NAMES).map(([name, count]) => nameButton(name, count, count / highest)),
    ...(more > 0 ? [element("p", {}, `and ${formatNumber(more)} more names`)] : []),
  );
}

function nameButton(name, count, share) {
  const isSelected = view.filters.get("name") === name;
  const bar = setStyle(element("i", { class: "bar" }), { background: colorOf(name), "inline-size": `${share * 100}%` });
  return element(
    "button",
    {
      "aria-pressed": String(isSelected),
      title: isSelected ? "Show all names" : `Show only ${name}`,
      onclick: () => (isSelected ? removeFilter("name") : filterBy("name", name)),
    },
    dot(name),
    element("bdi", {}, name),
    element("em", {}, formatNumber(count)),
    element("span", { class: "track" }, bar),
  );
}
