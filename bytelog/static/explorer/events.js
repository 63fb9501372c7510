// The events of the window: histogram, counts, list, and the one that is open.

import { count, list as ask } from "./api.js";
import { assign, hasColor } from "./colors.js";
import { byId, element } from "./elements.js";
import * as detail from "./event.js";
import * as filters from "./filters.js";
import * as histogram from "./histogram.js";
import { EventList } from "./list.js";
import { end as endOfArrivals, follow, Rate } from "./live.js";
import * as names from "./names.js";
import { SECOND, number, short } from "./time.js";
import { bounds, dayAround, go, question, unfixed, view } from "./view.js";
import * as welcome from "./welcome.js";

const PAGE = 100;
const MOST_LIVE = 5000; // events kept while following
const RECOUNT = 4 * SECOND;

const state = element("div", { id: "state" });
const fresh = element("button", { id: "fresh", hidden: true, onclick: () => (list.toTop(), takeFresh()) });
byId("list").before(state);
byId("list").before(fresh);

let live = false;
let signal;
let query;
let cursor;
let asking = false;
let rate = new Rate();
let waiting = [];
let counted = 0;
let fail;

const list = new EventList(byId("list"), {
  open,
  move: (event) => byId("event").hidden || open(event),
  trace: (event) => showTrace(event),
  more,
  scroll: () => list.isAtTop && takeFresh(),
});

export const redraw = () => (list.redraw(), histogram.redraw());

export async function show(newSignal, onFailure) {
  [signal, fail, cursor, asking, waiting] = [newSignal, onFailure, null, true, []];
  fresh.hidden = true;
  close();
  byId("list").setAttribute("aria-busy", "true");
  const window = bounds();
  query = question(window);
  const followed = live && (await endOfArrivals(view.filters, signal));
  await Promise.all([recount(window), load(followed)]);
}

async function load(followed) {
  const page = await ask("", [...query, ["order", "newest"], ["limit", PAGE]], { signal });
  byId("list").removeAttribute("aria-busy");
  [cursor, asking] = [page.cursor, false];
  filters.learn(page.events);
  if (!page.events.some((event) => hasColor(event.name))) assign([...new Set(page.events.map((event) => event.name))]);
  list.reset(page.events);
  state.replaceChildren();
  if (!page.events.length) await explain();
  if (followed) startFollowing(followed, page.events);
}

async function recount(window) {
  counted = Date.now();
  const within = await extent(window);
  if (!within) return nothingCounted();
  const unit = histogram.unitFor(within.start, within.end);
  const summary = await count("/summary", [...query, ["bucket", unit]], { signal });
  assign(Object.keys(summary.names));
  filters.know(summary.names);
  names.show(summary.names);
  byId("count").textContent = `${number(summary.count)} ${summary.count === 1 ? "event" : "events"}`;
  byId("range").textContent = `${short(within.start)} – ${short(within.end)}`;
  histogram.draw(summary, within.start, within.end, (start, end) => go({ start, end }));
  list.redraw();
}

function nothingCounted() {
  histogram.clear();
  names.show({});
  byId("count").textContent = "0 events";
  byId("range").textContent = "";
}

// A window without a start begins with its first event, one without an end lasts until now.
async function extent({ start, end }) {
  const one = async (order) => (await ask("", [...query, ["order", order], ["limit", 1]], { signal })).events[0];
  const first = start ?? (await one("date"));
  if (first === undefined) return undefined;
  const last = end ?? Math.max(Date.now(), start === undefined ? Date.parse((await one("newest")).date) + 1 : 0);
  return { start: start ?? Date.parse(first.date), end: Math.max(last, (start ?? 0) + SECOND) };
}

async function more() {
  if (asking || !cursor) return;
  asking = true;
  try {
    const page = await ask("", [...query, ["order", "newest"], ["limit", PAGE], ["cursor", cursor]], { signal });
    [cursor, asking] = [page.cursor, false];
    list.append(page.events);
  } catch (error) {
    asking = false;
    fail(error);
  }
}

async function explain() {
  const one = await ask("", [["order", "newest"], ["limit", 1]], { signal });
  if (!one.events.length) return welcome.show(signal, fail);
  const matching = await ask("", [...view.filters, ["order", "newest"], ["limit", 1]], { signal });
  const [newest] = matching.events;
  const around = newest && dayAround(Date.parse(newest.date));
  state.replaceChildren(
    element("h2", {}, "Nothing here"),
    element("p", {}, newest ? `The newest event that matches is of ${short(newest.date)}.` : "No event matches these filters, whatever the time."),
    newest
      ? element("button", { class: "primary", onclick: () => go(around) }, "Show that day")
      : element("button", { class: "primary", onclick: () => go({ filters: new Map() }) }, "Remove the filters"),
  );
}

function open(event) {
  const box = byId("event");
  box.hidden = false;
  const trace = element("button", { onclick: () => showTrace(event) }, "Show trace");
  detail.show(box, event, [trace], () => (close(), byId("list").focus()));
}

export function close() {
  const wasOpen = !byId("event").hidden;
  byId("event").hidden = true;
  return wasOpen;
}

const showTrace = (event) => go({ tab: "trace", trace: event.trace_id, step: 0 });

// Live

export const isLive = () => live;

export function setLive(wanted) {
  live = wanted;
  rate = new Rate();
  go(live ? { ...unfixed, tab: "events" } : {}, { replace: true });
}

function startFollowing(place, shown) {
  // What arrived between the two questions is in both answers.
  const known = new Set(shown.map((event) => JSON.stringify(event)));
  const stopped = signal;
  follow(view.filters, place, signal, {
    onEvents(events) {
      const news = events.filter((event) => !known.delete(JSON.stringify(event)));
      rate.add(news.length);
      waiting = [...news.reverse(), ...waiting].slice(0, MOST_LIVE);
      takeFresh();
      byId("live").dataset.state = "";
    },
    onState: (text) => (byId("live").dataset.state = text),
    onRefused: fail,
  });
  const timer = setInterval(tick, SECOND);
  stopped.addEventListener("abort", () => clearInterval(timer));
}

function takeFresh() {
  if (waiting.length && list.isAtTop) {
    state.replaceChildren();
    list.prepend(waiting, MOST_LIVE);
    waiting = [];
  }
  fresh.hidden = !waiting.length;
  fresh.textContent = `↑ ${number(waiting.length)} new`;
}

function tick() {
  const now = rate.perMinute();
  const text = byId("live").dataset.state || (waiting.length ? "paused" : `${number(now)}/min`);
  byId("live").lastChild.textContent = `Live · ${text}`;
  if (now && Date.now() - counted > RECOUNT) recount(bounds()).catch(fail);
}
