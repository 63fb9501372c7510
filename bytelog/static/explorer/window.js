// The window of time: presets, or two dates.

import { byId, element } from "./elements.js";
import { WINDOWS, forInput, fromInput, short } from "./time.js";
import { bounds, go, isFixed, unfixed, view } from "./view.js";

const select = byId("window");
const dates = byId("dates");

export function show() {
  const fixed = isFixed(view);
  const label = fixed ? `${view.start === undefined ? "…" : short(view.start)} – ${view.end === undefined ? "…" : short(view.end)}` : "";
  select.replaceChildren(
    ...WINDOWS.map(([name, text]) => element("option", { value: name }, text)),
    ...(fixed ? [element("option", { value: "shown" }, label)] : []),
    element("option", { value: "dates" }, "Between two dates…"),
  );
  select.value = fixed ? "shown" : view.last;
  dates.hidden = true;
}

export function listen() {
  select.addEventListener("change", () => {
    if (select.value === "dates") ask();
    else if (select.value !== "shown") go({ ...unfixed, last: select.value });
  });
  dates.addEventListener("submit", (event) => {
    event.preventDefault();
    const { start, end } = dates.elements;
    go({ start: fromInput(start.value), end: end.value ? fromInput(end.value) : undefined });
  });
  dates.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    show();
  });
}

function ask() {
  const { start, end } = bounds();
  dates.elements.start.value = forInput(start ?? Date.now());
  dates.elements.end.value = end === undefined ? "" : forInput(end);
  dates.hidden = false;
  dates.elements.start.focus();
}
