// The events of the window: histogram, counts, list, and the open event.

import { fetchSummary, listEvents } from "./api.js";
import { planBars } from "./buckets.js";
import { assignColors, hasColor } from "./colors.js";
import { byId, element } from "./elements.js";
import * as detail from "./event.js";
import * as filters from "./filters.js";
import * as histogram from "./histogram.js";
import { formatJson } from "./json.js";
import { EventList } from "./list.js";
import { findEnd, follow, Rate } from "./live.js";
import * as names from "./names.js";
import { SECOND, formatMinute, formatNumber, iso } from "./time.js";
import { buildQuery, dayAround, getWindow, go, unfixed, view } from "./view.js";
import * as welcome from "./welcome.js";

const PAGE = 100; // events
const MAX_LIVE_EVENTS = 5000; // kept in the list while following
const RECOUNT = 4 * SECOND; // how often the histogram is drawn again while following

const state = element("div", { id: "state" });
const showNew = element("button", { id: "fresh", hidden: true, onclick: () => (list.scrollToTop(), showPending()) });
byId("list").before(state);
byId("list").before(showNew);

let isFollowing = false;
let signal;
let query;
let cursor;
let isLoading = false;
let rate = new Rate();
let pending = []; // events that have arrived but are not in the list yet
let countedAt = 0;
let fail;

const list = new EventList(byId("list"), {
  open,
  move: (event) => byId("event").hidden || open(event),
  trace: (event) => showTrace(event),
  more: loadMore,
  scroll: () => list.isAtTop && showPending(),
});

export async function show(newSignal, onFailure) {
  [signal, fail, cursor, isLoading, pending] = [newSignal, onFailure, null, true, []];
  showNew.hidden = true;
  close();
  byId("list").setAttribute("aria-busy", "true");
  const window = getWindow();
  query = buildQuery(window);
  const endCursor = isFollowing && (await findEnd(view.filters, signal));
  await Promise.all([recount(window), load(endCursor)]);
}

const listNewest = (limit, ...more) =>
  listEvents("", [...query, ["order", "newest"], ["limit", limit], ...more], { signal });

async function load(endCursor) {
  const page = await listNewest(PAGE);
  byId("list").removeAttribute("aria-busy");
  [cursor, isLoading] = [page.cursor, false];
  filters.collectFields(page.events);
  const listed = page.events.map((event) => event.name);
  if (!listed.some(hasColor)) assignColors([...new Set(listed)]);
  list.reset(page.events);
  state.replaceChildren();
  if (!page.events.length) await explainEmptyList();
  if (endCursor) startFollowing(endCursor, page.events);
}

async function recount(window) {
  countedAt = Date.now();
  const extent = await findExtent(window);
  if (!extent) return clearCounts();
  const { start, end } = extent;
  const { summary, plan } = await countBy(planBars(start, end), end);
  assignColors(summary.names.map(([name]) => name));
  filters.setCounts(summary.names);
  names.show(summary.names);
  byId("count").textContent = `${formatNumber(summary.count)} ${summary.count === 1 ? "event" : "events"}`;
  byId("range").textContent = `${formatMinute(start)} – ${formatMinute(end)}`;
  histogram.draw(summary, plan, start, end, (from, until) => go({ start: from, end: until }));
  list.redraw();
}

// Counts by the first plan whose counts fit into responses.
async function countBy([plan, ...others], end) {
  const countPart = (part) => fetchSummary([...part, ["bucket", plan.unit]], { signal });
  try {
    const parts = plan.parts ? divideQuery(plan, end) : [query];
    return { plan, summary: joinSummaries(await Promise.all(parts.map(countPart))) };
  } catch (error) {
    if (error.status !== 400 || !others.length) throw error;
    return countBy(others, end);
  }
}

function divideQuery({ parts, starts }, end) {
  const filters = query.filter(([name]) => name !== "start" && name !== "end");
  const bounds = Array.from({ length: parts }, (_, part) => starts[Math.floor((part * starts.length) / parts)]);
  return bounds.map((start, part) => [...filters, ["start", iso(start)], ["end", iso(bounds[part + 1] ?? end)]]);
}

function joinSummaries(summaries) {
  const counts = new Map();
  for (const [name, count] of summaries.flatMap(({ names }) => names)) counts.set(name, (counts.get(name) ?? 0) + count);
  return {
    count: summaries.reduce((sum, { count }) => sum + count, 0),
    names: [...counts].sort(([, a], [, b]) => b - a),
    buckets: summaries.flatMap(({ buckets }) => buckets),
  };
}

function clearCounts() {
  histogram.clear();
  names.show([]);
  byId("count").textContent = "0 events";
  byId("range").textContent = "";
}

// A window without a start begins with its first event; one without an end lasts until now, or
// until the newest event if that is later.
async function findExtent({ start, end }) {
  const findOne = async (order) =>
    (await listEvents("", [...query, ["order", order], ["limit", 1]], { signal })).events[0];
  const first = start ?? (await findOne("date"));
  if (first === undefined) return undefined;
  const last = end ?? Math.max(Date.now(), start === undefined ? Date.parse((await findOne("newest")).date) + 1 : 0);
  return { start: start ?? Date.parse(first.date), end: Math.max(last, (start ?? 0) + SECOND) };
}

async function loadMore() {
  if (isLoading || !cursor) return;
  isLoading = true;
  const start = cursor;
  try {
    const page = await listNewest(PAGE, ["cursor", start]);
    isLoading = false;
    if (cursor !== start) return; // the list has dropped the events before this page
    cursor = page.cursor;
    list.append(page.events);
  } catch (error) {
    isLoading = false;
    fail(error);
  }
}

async function explainEmptyList() {
  const findNewest = async (conditions) =>
    (await listEvents("", [...conditions, ["order", "newest"], ["limit", 1]], { signal })).events[0];
  if (!(await findNewest([]))) return welcome.show(signal, fail);
  const newest = await findNewest(view.filters);
  const text = newest
    ? `The newest matching event is from ${formatMinute(newest.date)}.`
    : "No event matches these filters at any time.";
  const [label, change] = newest
    ? ["Show that day", dayAround(Date.parse(newest.date))]
    : ["Remove the filters", { filters: new Map() }];
  state.replaceChildren(
    element("h2", {}, "No events here"),
    element("p", {}, text),
    element("button", { class: "primary", onclick: () => go(change) }, label),
  );
}

function open(event) {
  const box = byId("event");
  box.hidden = false;
  const traceButton = element("button", { onclick: () => showTrace(event) }, "Show trace");
  detail.show(box, event, [traceButton], () => (close(), byId("list").focus()));
}

export function close() {
  const wasOpen = !byId("event").hidden;
  byId("event").hidden = true;
  return wasOpen;
}

const showTrace = (event) => go({ tab: "trace", trace: event.trace_id, step: 0 });

// Following new events

export const isLive = () => isFollowing;

export function setLive(isWanted) {
  isFollowing = isWanted;
  rate = new Rate();
  go(isFollowing ? { ...unfixed, tab: "events" } : {}, { replace: true });
}

function startFollowing(endCursor, listed) {
  // An event that arrived between the two requests is in both responses.
  const known = new Set(listed.map((event) => formatJson(event)));
  follow(view.filters, endCursor, signal, {
    onEvents(events) {
      const unknown = events.filter((event) => !known.delete(formatJson(event)));
      rate.add(unknown.length);
      pending = [...unknown.reverse(), ...pending].slice(0, MAX_LIVE_EVENTS);
      showPending();
      byId("live").dataset.state = "";
    },
    onState: (text) => (byId("live").dataset.state = text),
    onRefused: fail,
  });
  const timer = setInterval(updateLive, SECOND);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function showPending() {
  if (pending.length && list.isAtTop) {
    state.replaceChildren();
    // If the list drops its oldest events, the next page no longer continues it.
    if (list.events.length + pending.length > MAX_LIVE_EVENTS) cursor = null;
    list.prepend(pending, MAX_LIVE_EVENTS);
    pending = [];
  }
  showNew.hidden = !pending.length;
  showNew.textContent = `↑ ${formatNumber(pending.length)} new`;
}

function updateLive() {
  const arrivals = rate.perMinute();
  const text = byId("live").dataset.state || (pending.length ? "paused" : `${formatNumber(arrivals)}/min`);
  byId("live").lastChild.textContent = `Live · ${text}`;
  if (arrivals && Date.now() - countedAt > RECOUNT) recount(getWindow()).catch(fail);
}
