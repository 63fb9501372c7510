// The state of the page. All of it is in the address, under the names of the API.

import { parseDate } from "./dates.js";
import { WINDOWS, iso, startOfDay } from "./time.js";

const FIELDS = /^(name|trace_id|id|data\..+)$/s;
const listeners = [];

export let view = read();

function read() {
  const query = new URLSearchParams(location.search);
  const [start, end] = ["start", "end"].map((name) => parseDate(query.get(name) ?? ""));
  const isPreset = WINDOWS.some(([name]) => name === query.get("last"));
  return {
    tab: query.has("trace") ? "trace" : query.get("view") === "paths" ? "paths" : "events",
    trace: query.get("trace") ?? "",
    step: parseInt(query.get("step"), 10) || 0,
    start: Number.isNaN(start) ? undefined : start,
    end: Number.isNaN(end) ? undefined : end,
    last: isPreset ? query.get("last") : "24h",
    invalid: ["start", "end"].filter((name) => query.get(name) && Number.isNaN(parseDate(query.get(name)))),
    filters: new Map([...query].filter(([name, value]) => FIELDS.test(name) && value)),
  };
}

export function buildAddress(state) {
  const query = new URLSearchParams();
  if (state.tab === "paths") query.set("view", "paths");
  if (isFixed(state)) {
    if (state.start !== undefined) query.set("start", iso(state.start));
    if (state.end !== undefined) query.set("end", iso(state.end));
  } else if (state.last !== "24h") query.set("last", state.last);
  for (const [name, value] of state.filters) query.set(name, value);
  if (state.tab === "trace") query.set("trace", state.trace);
  if (state.tab === "trace" && state.step) query.set("step", state.step);
  return `?${query}`;
}

// Returns whether the window has a fixed start or end, instead of moving with the clock.
export const isFixed = ({ start, end }) => start !== undefined || end !== undefined;

export const unfixed = { start: undefined, end: undefined };

export function onChange(listener) {
  listeners.push(listener);
}

export function go(changes, { replace = false, quiet = false } = {}) {
  view = { ...view, invalid: [], ...changes };
  const state = { position: getPosition() + (replace ? 0 : 1) };
  history[replace ? "replaceState" : "pushState"](state, "", buildAddress(view));
  if (!quiet) for (const listener of listeners) listener();
}

// Returns how many entries of the tab's history show earlier views of this page.
const getPosition = () => history.state?.position ?? 0;

// Removes all views from the history of the tab, because their addresses contain filters and trace
// ids; then calls `onDone`.
export function forgetViews(onDone) {
  const forget = () => {
    history.replaceState(null, "", location.pathname);
    history.pushState(null, "", location.pathname); // drops the entries after this one
    onDone();
  };
  if (!getPosition()) return forget();
  addEventListener("popstate", forget, { once: true });
  history.go(-getPosition());
}

export function filterBy(name, value) {
  go({ tab: view.tab === "trace" ? "events" : view.tab, filters: new Map(view.filters).set(name, value) });
}

export function removeFilter(name) {
  const filters = new Map(view.filters);
  filters.delete(name);
  go({ filters });
}

// Returns the window in milliseconds since 1970; a bound that is undefined does not limit it.
export function getWindow() {
  if (isFixed(view)) return { start: view.start, end: view.end };
  const [, , length] = WINDOWS.find(([name]) => name === view.last);
  return length === Infinity ? {} : { start: Date.now() - length, end: undefined };
}

export function buildQuery({ start, end } = getWindow()) {
  const query = [...view.filters];
  if (start !== undefined) query.push(["start", iso(start)]);
  if (end !== undefined) query.push(["end", iso(end)]);
  return query;
}

export function dayAround(moment) {
  return { start: startOfDay(moment), end: startOfDay(moment, 1) };
}

addEventListener("popstate", () => {
  view = read();
  for (const listener of listeners) listener();
});
