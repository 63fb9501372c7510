// The counts of each name, beside the histogram.

import { colorOf, dot } from "./colors.js";
import { byId, element, styled } from "./elements.js";
import { number } from "./time.js";
import { filterBy, removeFilter, view } from "./view.js";

const MOST = 100;

export function show(counts) {
  const entries = Object.entries(counts);
  const most = entries[0]?.[1];
  const more = entries.length - MOST;
  byId("names").replaceChildren(
    ...entries.slice(0, MOST).map(([name, value]) => row(name, value, value / most)),
    ...(more > 0 ? [element("p", {}, `and ${number(more)} more names`)] : []),
  );
}

function row(name, value, share) {
  const isChosen = view.filters.get("name") === name;
  const bar = styled(element("i", { class: "bar" }), { background: colorOf(name), "inline-size": `${share * 100}%` });
  return element(
    "button",
    {
      "aria-pressed": String(isChosen),
      title: isChosen ? "Show all names" : `Show only ${name}`,
      onclick: () => (isChosen ? removeFilter("name") : filterBy("name", name)),
    },
    dot(name),
    element("bdi", {}, name),
    element("em", {}, number(value)),
    element("span", { class: "track" }, bar),
  );
}
