// The fields that choose the time window: a preset, or two dates.

import { byId, element } from "./elements.js";
import { WINDOWS, formatInput, formatMinute, parseInput } from "./time.js";
import { getWindow, go, isFixed, unfixed, view } from "./view.js";

const select = byId("window");
const dates = byId("dates");

export function show() {
  const hasDates = isFixed(view);
  const [start, end] = [view.start, view.end].map((moment) => (moment === undefined ? "…" : formatMinute(moment)));
  select.replaceChildren(
    ...WINDOWS.map(([name, text]) => element("option", { value: name }, text)),
    ...(hasDates ? [element("option", { value: "shown" }, `${start} – ${end}`)] : []),
    element("option", { value: "dates" }, "Between two dates…"),
  );
  select.value = hasDates ? "shown" : view.last;
  dates.hidden = true;
}

export function listen() {
  select.addEventListener("change", () => {
    if (select.value === "dates") showDates();
    else if (select.value !== "shown") go({ ...unfixed, last: select.value });
  });
  dates.addEventListener("submit", (event) => {
    event.preventDefault();
    const { start, end } = dates.elements;
    const moments = [start, end].filter(({ value }) => value).map((input) => parseInput(input.value));
    if ([start, end].every(checkInput)) go({ start: moments[0], end: moments[1] });
  });
  dates.addEventListener("input", (event) => event.target.setCustomValidity(""));
  dates.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    show();
  });
}

function checkInput(input) {
  const isValid = !input.value || !Number.isNaN(parseInput(input.value));
  input.setCustomValidity(isValid ? "" : "Write the date like 2021-07-04, or 2021-07-04T13:34:56Z.");
  return input.reportValidity();
}

function showDates() {
  const { start, end } = getWindow();
  dates.elements.start.value = formatInput(start ?? Date.now());
  dates.elements.end.value = end === undefined ? "" : formatInput(end);
  dates.hidden = false;
  dates.elements.start.focus();
}
