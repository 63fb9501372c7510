// The state of the page. All of it is in the address, under the names of the API.

import { parseDate } from "./dates.js";
import { isFilter } from "./grammar.js";
import { WINDOWS, iso, startOfDay } from "./time.js";

export const TABS = ["events", "traces", "paths", "funnel"];
const DEFAULT_WINDOW = "24h";

// What each tab has in the address besides the filters and the window.
const OPTIONS = {
  events: ["by", "sum"],
  traces: ["having", "lacking", "from", "to", "within", "state", "funnel", "reached", "stopped"],
  paths: ["focus", "next", "ends", "good"],
  funnel: ["funnel", "within"],
  trace: [],
};
const FIELDS = new Set(["view", "trace", "step", "event", "start", "end", "last", ...Object.values(OPTIONS).flat()]);

const listeners = [];

export let view = read();

function read() {
  const query = new URLSearchParams(location.search);
  const [start, end] = ["start", "end"].map((name) => parseDate(query.get(name) ?? ""));
  const tab = TABS.includes(query.get("view")) ? query.get("view") : "events";
  return {
    tab: query.has("trace") ? "trace" : tab,
    trace: query.get("trace") ?? "",
    step: parseInt(query.get("step"), 10) || 0,
    event: query.get("event") ?? "",
    start: Number.isNaN(start) ? undefined : start,
    end: Number.isNaN(end) ? undefined : end,
    last: isPreset(query.get("last")) ? query.get("last") : DEFAULT_WINDOW,
    problems: listProblems(query),
    filters: [...query].filter(([name, value]) => isFilter(name) && value),
    options: readOptions(query),
  };
}

function isPreset(text) {
  return WINDOWS.some(([name]) => name === text);
}

function readOptions(query) {
  const names = new Set(Object.values(OPTIONS).flat());
  return Object.fromEntries([...names].map((name) => [name, query.getAll(name).filter(Boolean)]));
}

function listProblems(query) {
  const has = (name) => Boolean(query.get(name));
  const dates = ["start", "end"].filter((name) => has(name) && Number.isNaN(parseDate(query.get(name))));
  const unknown = [...query.keys()].filter((name) => !FIELDS.has(name) && !isFilter(name));
  return [
    ...(dates.length ? [`The address has no valid ${dates.join(" and ")}: use a date such as 2021-07-04.`] : []),
    ...(has("last") && !isPreset(query.get("last")) ? [`The address has an unknown window, last=${query.get("last")}.`] : []),
    ...(has("view") && !TABS.includes(query.get("view")) ? [`The address has an unknown view, ${query.get("view")}.`] : []),
    ...(unknown.length ? [`The address has a part that is not understood and has no effect: ${[...new Set(unknown)].join(", ")}.`] : []),
  ];
}

export function buildAddress(state) {
  const query = new URLSearchParams();
  if (TABS.includes(state.tab) && state.tab !== "events") query.set("view", state.tab);
  if (isFixed(state)) {
    if (state.start !== undefined) query.set("start", iso(state.start));
    if (state.end !== undefined) query.set("end", iso(state.end));
  } else if (state.last !== DEFAULT_WINDOW) query.set("last", state.last);
  for (const [name, value] of state.filters) query.append(name, value);
  for (const name of OPTIONS[state.tab]) for (const value of state.options[name]) query.append(name, value);
  if (state.tab === "trace") query.set("trace", state.trace);
  if (state.tab === "trace" && state.step) query.set("step", state.step);
  if (state.tab === "events" && state.event) query.set("event", state.event);
  return `?${query}`;
}

// Returns whether the window has a fixed start or end, instead of moving with the clock.
export const isFixed = ({ start, end }) => start !== undefined || end !== undefined;

export const unfixed = { start: undefined, end: undefined };

// Calls the listener with the view before if the reader went back or forward.
export function onChange(listener) {
  listeners.push(listener);
}

const notifyAll = (previous) => listeners.forEach((listener) => listener(previous));

// `quiet` changes only the address. `mark` is kept in the entry of the history.
export function go(changes, { replace = false, quiet = false, mark = replace && history.state?.mark } = {}) {
  view = { ...view, problems: [], ...(quiet ? {} : { event: "" }), ...changes };
  const state = { position: getPosition() + (replace ? 0 : 1), mark };
  history[replace ? "replaceState" : "pushState"](state, "", buildAddress(view));
  if (!quiet) notifyAll();
}

// Returns options with changes; a value is a text, a list of texts, or undefined for none.
export function changeOptions(changes) {
  const lists = Object.entries(changes).map(([name, value]) => [name, [value ?? []].flat().map(String).filter(Boolean)]);
  return { ...view.options, ...Object.fromEntries(lists) };
}

export const option = (name) => view.options[name][0];

// Returns whether two views differ only in the event or the step that is open.
export const isSamePage = (one, other) =>
  one.trace === other.trace && buildAddress({ ...one, event: "", step: 0 }) === buildAddress({ ...other, event: "", step: 0 });

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

const tabWithFilters = () => (view.tab === "trace" ? "events" : view.tab);

// Replaces the filters of this parameter.
export function filterBy(name, value) {
  const others = view.filters.filter(([other]) => other !== name);
  go({ tab: tabWithFilters(), filters: [...others, [name, value]] });
}

const GIVEN_ONCE = /^q$|\[(gt|gte|lt|lte|exists)\]$/;

// Adds filters to those of the same parameters, or replaces those that can be given only once.
export function addFilters(added) {
  const isReplaced = ([name, value]) => added.some(([other, text]) => other === name && (text === value || GIVEN_ONCE.test(name)));
  go({ tab: tabWithFilters(), filters: [...view.filters.filter((filter) => !isReplaced(filter)), ...added] });
}

export function removeFilter(index) {
  go({ filters: view.filters.filter((_, other) => other !== index) });
}

export const valuesOf = (name) => view.filters.filter(([other]) => other === name).map(([, value]) => value);

// Returns the window in milliseconds since 1970; a bound that is undefined does not limit it.
export function getWindow() {
  if (isFixed(view)) return { start: view.start, end: view.end };
  const [, , find] = WINDOWS.find(([name]) => name === view.last);
  return find(Date.now());
}

export const isReversed = ({ start, end } = getWindow()) => start !== undefined && end !== undefined && end <= start;

export const boundWindow = (window = getWindow()) =>
  ["start", "end"].filter((name) => window[name] !== undefined).map((name) => [name, iso(window[name])]);

export const buildQuery = (window) => [...view.filters, ...boundWindow(window)];

export function dayAround(moment) {
  return { start: startOfDay(moment), end: startOfDay(moment, 1) };
}

addEventListener("popstate", () => {
  const previous = view;
  view = read();
  notifyAll(previous);
});
