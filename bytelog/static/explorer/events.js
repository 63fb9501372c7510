// The events of the window: counts, list, and the open event.

import { listEvents } from "./api.js";
import { readChart, showFields } from "./chart.js";
import { assignColors, dot } from "./colors.js";
import { countWindow } from "./counts.js";
import { byId, element, notify } from "./elements.js";
import { explainEmptyList } from "./empty.js";
import * as detail from "./event.js";
import { recover } from "./failures.js";
import * as histogram from "./histogram.js";
import { formatJson, formatPreview } from "./json.js";
import { List } from "./list.js";
import { findEnd, follow, Rate } from "./live.js";
import * as names from "./names.js";
import { findEvent, referTo } from "./reference.js";
import { SECOND, formatDay, formatExactTime, formatNumber } from "./time.js";
import { buildQuery, getWindow, go, isFixed, unfixed, view } from "./view.js";
import { showExtent } from "./window.js";

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
let lastTrace; // whose event gets the focus when the reader comes back

const list = new List(byId("list"), {
  render: (event) => renderRow(event),
  open,
  move: (event) => byId("event").hidden || open(event),
  trace: (event) => showTrace(event),
  more: loadMore,
  scroll: () => list.isAtTop && showPending(),
});

export async function show(newSignal, onFailure) {
  [signal, fail, cursor, isLoading, pending] = [newSignal, onFailure, null, true, []];
  isFollowing &&= !isFixed(view);
  showNew.hidden = true;
  byId("event").hidden = true;
  showFields();
  byId("list").setAttribute("aria-busy", "true");
  const window = getWindow();
  query = buildQuery(window);
  const endCursor = isFollowing && (await findEnd(view.filters, signal));
  await Promise.all([recount(window), load(endCursor)]);
}

const renderRow = (event) => [
  element("time", {}, element("span", {}, formatDay(event.date).slice(5)), ` ${formatExactTime(event.date)}`),
  element("span", { class: "what" }, dot(event.name), element("bdi", {}, event.name)),
  element("bdi", { class: "trace-id", title: "Show this trace" }, event.trace_id),
  element("bdi", { class: "preview" }, formatPreview(event.data)),
];

const listNewest = (limit, ...more) =>
  listEvents("", [...query, ["order", "newest"], ["limit", limit], ...more], { signal });

async function load(endCursor) {
  const page = await listNewest(PAGE);
  byId("list").removeAttribute("aria-busy");
  [cursor, isLoading] = [page.cursor, false];
  assignColors([...new Set(page.events.map((event) => event.name))]);
  list.reset(page.events);
  state.replaceChildren();
  if (!page.events.length) await explainEmptyList(state, signal, fail);
  returnFocus();
  await update();
  if (endCursor) startFollowing(endCursor, page.events);
}

async function recount(window) {
  countedAt = Date.now();
  const counted = await countWindow(window, query, signal, readChart()).catch((error) => {
    if (error.status === 400) clearCounts(""); // the chart of the view before would be taken for this one
    throw error;
  });
  if (!counted) return clearCounts("0 events");
  const { start, end, plan, summary } = counted;
  assignColors(summary.names.map(([name]) => name));
  names.show(summary.names);
  byId("count").textContent = summary.total ?? `${formatNumber(summary.count)} ${summary.count === 1 ? "event" : "events"}`;
  showExtent({ start, end });
  histogram.draw(summary, plan, start, end, (from, until) => go({ start: from, end: until }));
  list.redraw();
}

function clearCounts(text) {
  histogram.clear();
  names.show([]);
  byId("count").textContent = text;
  showExtent(undefined);
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
    recover();
  } catch (error) {
    isLoading = false;
    fail(error, loadMore);
  }
}

// The open event, which is in the address

function open(event) {
  const reference = referTo(event);
  if (reference === view.event) return showEvent(event);
  // Back closes the event: moving to others while one is open adds nothing to the history.
  const isOpen = Boolean(view.event);
  go({ event: reference }, { quiet: true, replace: isOpen, ...(isOpen ? {} : { mark: "opened" }) });
  showEvent(event);
}

function showEvent(event) {
  const box = byId("event");
  box.hidden = false;
  const traceButton = element("button", { onclick: () => showTrace(event) }, "Show trace");
  detail.show(box, event, [traceButton], () => close() && byId("list").focus());
}

// Shows the event of the address, or none.
export async function update() {
  const reference = view.event;
  byId("event").hidden = true;
  if (!reference) return;
  const index = list.items.findIndex((event) => referTo(event) === reference);
  const event = list.items[index] ?? (await findEvent(reference, signal));
  if (view.event !== reference) return;
  if (!event) return notify("The event in the address does not exist, or was deleted.", 10);
  if (index >= 0) list.select(index);
  showEvent(event);
}

export function close() {
  if (byId("event").hidden) return false;
  byId("event").hidden = true;
  if (history.state?.mark === "opened") history.back();
  else go({ event: "" }, { replace: true, quiet: true });
  return true;
}

function showTrace(event) {
  lastTrace = event.trace_id;
  go({ tab: "trace", trace: event.trace_id, step: 0, origin: "events" });
}

function returnFocus() {
  const index = list.items.findIndex((event) => event.trace_id === lastTrace);
  if (lastTrace === undefined) return;
  if (index >= 0) list.select(index);
  byId("list").focus();
  lastTrace = undefined;
}

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
      assignColors([...new Set(unknown.map((event) => event.name))]);
      pending = [...unknown.reverse(), ...pending].slice(0, MAX_LIVE_EVENTS);
      showPending();
    },
    onState: (text) => (byId("live").dataset.state = text),
    onRecovered: recountNow,
    onLost: () => go({}, { replace: true }),
    onRefused: fail,
  });
  const timer = setInterval(updateLive, SECOND);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function recountNow() {
  recount(getWindow()).then(recover, (error) => fail(error, recountNow));
}

function showPending() {
  if (pending.length && list.isAtTop) {
    state.replaceChildren();
    // If the list drops its oldest events, the next page no longer continues it.
    if (list.items.length + pending.length > MAX_LIVE_EVENTS) cursor = null;
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
  if (arrivals && Date.now() - countedAt > RECOUNT) recountNow();
}
