// What is shown, all of it in the page's address, with the names that the API uses.

import { DAY, WINDOWS, iso } from "./time.js";

const FIELDS = /^(name|trace_id|id|data\..+)$/s;
const listeners = [];

export let view = read();

function read() {
  const query = new URLSearchParams(location.search);
  const start = Date.parse(query.get("start") ?? "");
  const end = Date.parse(query.get("end") ?? "");
  const isPreset = WINDOWS.some(([name]) => name === query.get("last"));
  return {
    tab: query.has("trace") ? "trace" : query.get("view") === "paths" ? "paths" : "events",
    trace: query.get("trace") ?? "",
    step: Number(query.get("step")) || 0,
    start: Number.isNaN(start) ? undefined : start,
    end: Number.isNaN(end) ? undefined : end,
    last: isPreset ? query.get("last") : "24h",
    filters: new Map([...query].filter(([name, value]) => FIELDS.test(name) && value)),
  };
}

export function addressOf(it) {
  const query = new URLSearchParams();
  if (it.tab === "paths") query.set("view", "paths");
  if (isFixed(it)) {
    if (it.start !== undefined) query.set("start", iso(it.start));
    if (it.end !== undefined) query.set("end", iso(it.end));
  } else if (it.last !== "24h") query.set("last", it.last);
  for (const [name, value] of it.filters) query.set(name, value);
  if (it.tab === "trace") query.set("trace", it.trace);
  if (it.tab === "trace" && it.step) query.set("step", it.step);
  return `?${query}`;
}

export const isFixed = (it) => it.start !== undefined || it.end !== undefined;

export const unfixed = { start: undefined, end: undefined };

export function onChange(listener) {
  listeners.push(listener);
}

export function go(changes, { replace = false, quiet = false } = {}) {
  view = { ...view, ...changes };
  history[replace ? "replaceState" : "pushState"](null, "", addressOf(view));
  if (!quiet) for (const listener of listeners) listener();
}

export function filterBy(name, value) {
  go({ tab: view.tab === "trace" ? "events" : view.tab, filters: new Map(view.filters).set(name, value) });
}

export function removeFilter(name) {
  const filters = new Map(view.filters);
  filters.delete(name);
  go({ filters });
}

// The window in milliseconds since 1970; without an end it goes on.
export function bounds() {
  if (isFixed(view)) return { start: view.start, end: view.end };
  const [, , length] = WINDOWS.find(([name]) => name === view.last);
  return length === Infinity ? {} : { start: Date.now() - length, end: undefined };
}

export function question({ start, end } = bounds()) {
  const query = [...view.filters];
  if (start !== undefined) query.push(["start", iso(start)]);
  if (end !== undefined) query.push(["end", iso(end)]);
  return query;
}

export function dayAround(moment) {
  const start = Math.floor(moment / DAY) * DAY;
  return { start, end: start + DAY };
}

addEventListener("popstate", () => {
  view = read();
  for (const listener of listeners) listener();
});
