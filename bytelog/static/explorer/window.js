// The fields that choose the time window: a preset, or two dates; and zooming out.

import { byId, element } from "./elements.js";
import { MINUTE, SECOND, WINDOWS, formatInput, formatMinute, parseInput } from "./time.js";
import { getWindow, go, isFixed, unfixed, view } from "./view.js";

const ALL = { ...unfixed, last: "all" };

const select = byId("window");
const dates = byId("dates");

let extent; // of the window that is shown

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
  const { start: from, end: until } = getWindow();
  extent = from && { start: from, end: until ?? Date.now() };
}

// Shows the bounds of the events, which are more exact than those of the view.
export function showExtent(bounds) {
  extent = bounds;
  byId("range").textContent = bounds ? `${formatMinute(bounds.start)} – ${formatMinute(bounds.end)}` : "";
  byId("later").disabled = !bounds || bounds.end > Date.now() - MINUTE;
  byId("earlier").disabled = byId("zoom-out").disabled = !bounds || (!isFixed(view) && view.last === "all");
}

export function listen() {
  select.addEventListener("change", () => {
    if (select.value === "dates") showDates();
    else if (select.value !== "shown") go({ ...unfixed, last: select.value });
  });
  dates.addEventListener("submit", submitDates);
  dates.addEventListener("input", () => [...dates.elements].forEach((input) => input.setCustomValidity("")));
  dates.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    show();
    select.focus();
  });
  byId("zoom-out").addEventListener("click", zoomOut);
  byId("earlier").addEventListener("click", () => move(-1));
  byId("later").addEventListener("click", () => move(1));
}

// Shows twice the time, around the same middle but not beyond now.
export function zoomOut() {
  if (!extent || (!isFixed(view) && view.last === "all")) return;
  const { start, end } = extent;
  const half = (end - start) / 2;
  const until = Math.max(end, Math.min(end + half, Date.now()));
  const from = until - 4 * half;
  if (from <= 0) return go(ALL);
  go({ start: round(from), end: round(until) });
}

function move(direction) {
  const { start, end } = extent;
  const length = direction * (end - start);
  go({ start: round(start + length), end: round(end + length) });
}

// Dates in an address are easier to read without fractions.
const round = (moment) => Math.round(moment / SECOND) * SECOND;

function submitDates(event) {
  event.preventDefault();
  const { start, end } = dates.elements;
  const [from, until] = [start, end].map(({ value }) => (value ? parseInput(value) : undefined));
  if (![start, end].every(checkInput)) return;
  if (until <= from) {
    end.setCustomValidity("The end is before the start.");
    return end.reportValidity();
  }
  go({ start: from, end: until });
}

function checkInput(input) {
  const isValid = !input.value || !Number.isNaN(parseInput(input.value));
  input.setCustomValidity(isValid ? "" : "Write the date like 2021-07-04, yesterday 17:00, or 2021-07-04T13:34:56Z.");
  return input.reportValidity();
}

function showDates() {
  const { start, end } = getWindow();
  dates.elements.start.value = formatInput(start ?? Date.now());
  dates.elements.end.value = end === undefined ? "" : formatInput(end);
  dates.hidden = false;
  dates.elements.start.focus();
}
