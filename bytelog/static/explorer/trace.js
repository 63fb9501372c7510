// One trace as a path: its steps on an axis of time, and the gaps between them.

import { list } from "./api.js";
import { assign, colorOf } from "./colors.js";
import { byId, copy, element, styled } from "./elements.js";
import * as detail from "./event.js";
import { preview } from "./json.js";
import { neighbours } from "./neighbours.js";
import { MINUTE, clock, day, duration, full, number } from "./time.js";
import { filterBy, go, view } from "./view.js";

const PAGE = 500;
const PAUSE = 5 * MINUTE; // a shorter gap is somebody thinking,
const HALT = MINUTE; // unless the other steps follow each other
const UNUSUAL = 8; // times as fast

const box = byId("trace");
const panel = element("aside", { class: "detail", "aria-label": "Step" });

let steps = [];
let signal;
let fail;
let around = {};

export async function show(newSignal, onFailure) {
  [signal, fail, steps, around] = [newSignal, onFailure, [], {}];
  box.replaceChildren(element("p", { class: "loading" }, "Loading the trace…"));
  await load(null);
  if (!steps.length) return missing();
  choose(view.step);
  around = await neighbours(view.trace, steps, view.filters, signal);
  link("previous");
  link("next");
}

async function load(cursor) {
  const query = [["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])];
  const page = await list(`/trace/${encodeURIComponent(view.trace)}`, query, { signal });
  steps.push(...page.events);
  if (!steps.length) return;
  assign([...new Set(steps.map((step) => step.name))]);
  draw(page.cursor);
}

function missing() {
  const back = element("button", { class: "primary", onclick: () => go({ tab: "events" }) }, "Show all events");
  box.replaceChildren(
    element("div", { class: "empty" }, element("h2", {}, "No event has this trace id"), element("p", {}, element("bdi", {}, view.trace)), back),
  );
}

const dateOf = (step) => Date.parse(step.date);

function draw(cursor) {
  const first = dateOf(steps[0]);
  const length = dateOf(steps.at(-1)) - first;
  const gaps = steps.slice(1).map((step, place) => dateOf(step) - dateOf(steps[place]));
  const median = [...gaps].sort((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)];
  const isPause = (gap) => gap >= PAUSE || gap >= Math.max(HALT, UNUSUAL * median);
  const path = element("ol", { id: "steps", role: "listbox", tabindex: 0, "aria-label": "Steps", onkeydown: onKey });
  let shownDay = "";
  steps.forEach((step, place) => {
    if (place) path.append(gapOf(gaps[place - 1], isPause(gaps[place - 1])));
    path.append(stepOf(step, place, dateOf(step) - first, day(step.date) === shownDay ? "" : day(step.date)));
    shownDay = day(step.date);
  });
  const pauses = gaps.filter(isPause).length;
  const more = element("button", { class: "more", onclick: () => load(cursor).then(() => choose(view.step)).catch(fail) }, `Show ${PAGE} more steps`);
  box.replaceChildren(
    heading(`${number(steps.length)}${cursor ? "+" : ""} steps in ${duration(length)}${pauses ? `, ${number(pauses)} ${pauses === 1 ? "pause" : "pauses"}` : ""}`),
    scale(first, length),
    element("div", { class: "split" }, element("div", { class: "path" }, path, ...(cursor ? [more] : [])), panel),
  );
}

function heading(summary) {
  return element(
    "header",
    {},
    element("div", {}, element("h2", {}, "Trace ", element("bdi", {}, view.trace)), element("p", {}, summary)),
    element("button", { id: "previous", disabled: true, title: "The trace before this one ([)" }, "← Previous"),
    element("button", { id: "next", disabled: true, title: "The trace after this one (])" }, "Next →"),
    element("button", { onclick: () => filterBy("trace_id", view.trace) }, "Show in list"),
    element("button", { onclick: () => copy(view.trace, "the trace id") }, "Copy id"),
  );
}

// All steps on one line, at their true distances.
function scale(first, length) {
  const marks = steps.map((step) =>
    styled(element("i"), { "inset-inline-start": `${length ? (100 * (dateOf(step) - first)) / length : 0}%`, background: colorOf(step.name) }),
  );
  const end = element("time", {}, clock(first + length));
  return element("div", { class: "scale", "aria-hidden": "true" }, element("time", {}, clock(first)), element("div", {}, ...marks), end);
}

function stepOf(step, place, since, newDay) {
  return element(
    "li",
    { role: "option", id: `step-${place}`, class: "step", "aria-selected": "false", onclick: () => choose(place), onmouseenter: () => look(step), onmouseleave: () => look(steps[view.step]) },
    element("time", { title: full(step.date) }, element("span", {}, newDay), clock(step.date)),
    styled(element("i", { class: "node" }), { background: colorOf(step.name) }),
    element("div", {}, element("b", {}, element("bdi", {}, step.name)), element("bdi", { class: "preview" }, preview(step.data))),
    element("em", {}, place ? `+${duration(since)}` : "start"),
  );
}

// Longer gaps are longer, but a day is not a thousand times a minute.
function gapOf(gap, isPause) {
  const height = isPause ? 52 : 8 + Math.min(28, 5 * Math.log10(1 + gap / 100));
  const text = isPause ? `paused for ${duration(gap)}` : gap ? duration(gap) : "at once";
  return styled(element("li", { role: "presentation", class: isPause ? "gap pause" : "gap" }, element("span", {}, text)), { "min-height": `${height}px` });
}

function choose(place) {
  const chosen = Math.max(0, Math.min(place, steps.length - 1));
  go({ step: chosen }, { replace: true, quiet: true });
  for (const option of box.querySelectorAll("[aria-selected=true]")) option.setAttribute("aria-selected", "false");
  const option = byId(`step-${chosen}`);
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  byId("steps").setAttribute("aria-activedescendant", option.id);
  look(steps[chosen]);
}

function look(step) {
  detail.show(panel, step, []);
}

function link(side) {
  const trace = around[side];
  byId(side).disabled = !trace;
  byId(side).onclick = () => go({ trace, step: 0 });
}

function onKey(event) {
  const moves = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  if (event.key in moves) {
    event.preventDefault();
    choose(view.step + moves[event.key]);
  }
  const side = { "[": "previous", "]": "next" }[event.key];
  if (around[side]) go({ trace: around[side], step: 0 });
}
