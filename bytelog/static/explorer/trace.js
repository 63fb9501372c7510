// One trace: its steps on a time axis, and the gaps between them.

import { listEvents } from "./api.js";
import { assignColors, colorOf } from "./colors.js";
import { byId, copy, element, setStyle } from "./elements.js";
import * as detail from "./event.js";
import { formatPreview } from "./json.js";
import { findNeighbors } from "./neighbors.js";
import { MINUTE, formatClock, formatDay, formatDuration, formatFull, formatNumber } from "./time.js";
import { filterBy, go, view } from "./view.js";

const PAGE = 500; // events

// A gap is a pause if it is long, or shorter but unusual for this trace.
const LONG_GAP = 5 * MINUTE;
const UNUSUAL_GAP = MINUTE;
const UNUSUAL_FACTOR = 8; // times the median gap

const box = byId("trace");
const panel = element("aside", { class: "detail", "aria-label": "Step" });

let steps = [];
let signal;
let fail;
let neighbors = {};

export async function show(newSignal, onFailure) {
  [signal, fail, steps, neighbors] = [newSignal, onFailure, [], {}];
  box.replaceChildren(element("p", { class: "loading" }, "Loading the trace…"));
  await load(null);
  if (!steps.length) return showMissing();
  select(view.step);
  byId("steps").focus({ preventScroll: true });
  neighbors = await findNeighbors(view.trace, steps, view.filters, signal);
  enableButtons();
}

async function load(cursor) {
  const query = [["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])];
  const page = await listEvents(`/trace/${encodeURIComponent(view.trace)}`, query, { signal });
  steps.push(...page.events);
  if (!steps.length) return;
  assignColors([...new Set(steps.map((step) => step.name))]);
  draw(page.cursor);
}

function showMissing() {
  const back = element("button", { class: "primary", onclick: () => go({ tab: "events" }) }, "Show all events");
  box.replaceChildren(
    element("div", { class: "empty" }, element("h2", {}, "No event has this trace id"), element("p", {}, element("bdi", {}, view.trace)), back),
  );
}

const dateOf = (step) => Date.parse(step.date);

function draw(cursor) {
  const first = dateOf(steps[0]);
  const length = dateOf(steps.at(-1)) - first;
  const gaps = steps.slice(1).map((step, index) => dateOf(step) - dateOf(steps[index]));
  const median = [...gaps].sort((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)];
  const isPause = (gap) => gap >= LONG_GAP || gap >= Math.max(UNUSUAL_GAP, UNUSUAL_FACTOR * median);
  const path = element("ol", { id: "steps", role: "listbox", tabindex: 0, "aria-label": "Steps", onkeydown: onKey });
  let shownDay = "";
  steps.forEach((step, index) => {
    if (index) path.append(gapItem(gaps[index - 1], isPause(gaps[index - 1])));
    const day = formatDay(step.date);
    path.append(stepItem(step, index, dateOf(step) - first, day === shownDay ? "" : day));
    shownDay = day;
  });
  const pauses = gaps.filter(isPause).length;
  const pauseText = pauses ? `, ${formatNumber(pauses)} ${pauses === 1 ? "pause" : "pauses"}` : "";
  const more = element("button", { class: "more", onclick: () => load(cursor).then(() => select(view.step)).catch((error) => fail(error)) }, `Show ${PAGE} more steps`);
  box.replaceChildren(
    header(`${formatNumber(steps.length)}${cursor ? "+" : ""} steps in ${formatDuration(length)}${pauseText}`),
    timeline(first, length),
    element("div", { class: "split" }, element("div", { class: "path" }, path, ...(cursor ? [more] : [])), panel),
  );
  enableButtons();
}

function header(summary) {
  return element(
    "header",
    {},
    element("div", {}, element("h2", {}, "Trace ", element("bdi", {}, view.trace)), element("p", {}, summary)),
    element("button", { id: "previous", title: "Previous trace ([)" }, "← Previous"),
    element("button", { id: "next", title: "Next trace (])" }, "Next →"),
    element("button", { onclick: () => filterBy("trace_id", view.trace) }, "Show in list"),
    element("button", { onclick: () => copy(view.trace, "the trace id") }, "Copy id"),
  );
}

// Shows all steps on one line, at a uniform scale.
function timeline(first, length) {
  const marks = steps.map((step) =>
    setStyle(element("i"), { "inset-inline-start": `${length ? (100 * (dateOf(step) - first)) / length : 0}%`, background: colorOf(step.name) }),
  );
  const end = element("time", {}, formatClock(first + length));
  return element("div", { class: "scale", "aria-hidden": "true" }, element("time", {}, formatClock(first)), element("div", {}, ...marks), end);
}

function stepItem(step, index, sinceStart, newDay) {
  return element(
    "li",
    {
      role: "option",
      id: `step-${index}`,
      class: "step",
      "aria-selected": "false",
      onclick: () => select(index, { replace: index === view.step }),
      onmouseenter: () => showDetail(step),
      onmouseleave: () => showDetail(steps[view.step]),
    },
    element("time", { title: formatFull(step.date) }, element("span", {}, newDay), formatClock(step.date)),
    setStyle(element("i", { class: "node" }), { background: colorOf(step.name) }),
    element("div", {}, element("b", {}, element("bdi", {}, step.name)), element("bdi", { class: "preview" }, formatPreview(step.data))),
    element("em", {}, index ? `+${formatDuration(sinceStart)}` : "start"),
  );
}

// The height of a gap grows with the logarithm of its duration: a day must fit on the screen.
function gapItem(gap, isPause) {
  const height = isPause ? 52 : 8 + Math.min(28, 5 * Math.log10(1 + gap / 100));
  const text = isPause ? `paused for ${formatDuration(gap)}` : gap ? formatDuration(gap) : "at the same time";
  return setStyle(element("li", { role: "presentation", class: isPause ? "gap pause" : "gap" }, element("span", {}, text)), { "min-height": `${height}px` });
}

// A click adds an entry to the history, so that Back returns to the step before.
function select(step, { replace = true } = {}) {
  const index = Math.max(0, Math.min(step, steps.length - 1));
  go({ step: index }, { replace, quiet: true });
  for (const option of box.querySelectorAll("[aria-selected=true]")) option.setAttribute("aria-selected", "false");
  const option = byId(`step-${index}`);
  option.setAttribute("aria-selected", "true");
  option.scrollIntoView({ block: "nearest" });
  byId("steps").setAttribute("aria-activedescendant", option.id);
  showDetail(steps[index]);
}

export const update = () => steps.length && select(view.step);

function showDetail(step) {
  detail.show(panel, step, []);
}

function enableButtons() {
  for (const side of ["previous", "next"]) {
    const trace = neighbors[side];
    byId(side).disabled = !trace;
    byId(side).onclick = () => go({ trace, step: 0 });
  }
}

function onKey(event) {
  const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity };
  if (event.key in moves) {
    event.preventDefault();
    select(view.step + moves[event.key]);
  }
  const side = { "[": "previous", "]": "next" }[event.key];
  if (neighbors[side]) go({ trace: neighbors[side], step: 0 });
}
