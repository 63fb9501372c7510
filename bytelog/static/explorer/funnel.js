// How many traces reach each of some steps in order, and which ones stop before the next.

import { fetchFunnel } from "./api.js";
import { assignColors, colorOf } from "./colors.js";
import { byId, element, refill, setStyle } from "./elements.js";
import { durationField, nameField, showNames } from "./fields.js";
import { cell, nameLabel, table } from "./tables.js";
import { SECOND, formatDuration, formatNumber, formatPercent } from "./time.js";
import { buildQuery, changeOptions, go, view } from "./view.js";

const MAX_STEPS = 10;

const box = byId("funnel");
const steps = element("form", { class: "conditions", onsubmit: (event) => event.preventDefault() });
const result = element("div", { class: "result" });
box.append(element("header", {}, element("h2", {}, "Funnel"), element("p", {}, "Traces that reach these steps in this order")), steps, result);

export async function show(signal) {
  showNames();
  showSteps();
  const { funnel } = view.options;
  if (funnel.length < 2) return result.replaceChildren(element("p", { class: "loading" }, "Choose two steps or more."));
  result.replaceChildren(element("p", { class: "loading" }, "Counting…"));
  const counted = await fetchFunnel([...buildQuery(), ...buildSteps(view.options)], { signal });
  assignColors(funnel);
  result.replaceChildren(countsTable(counted));
}

// Returns the steps as the API names them.
export const buildSteps = ({ funnel, within }) => [...funnel.map((name) => ["step", name]), ...within.map((seconds) => ["within", seconds])];

const change = (changes) => go({ options: changeOptions(changes) });

function showSteps() {
  const { funnel } = view.options;
  const fields = funnel.flatMap((name, index) => {
    const replace = (value) => change({ funnel: funnel.with(index, value) });
    return [...(index ? ["→"] : []), nameField(`Step ${index + 1}`, name, replace)];
  });
  const add = nameField(`Step ${funnel.length + 1}`, "", (value) => change({ funnel: [...funnel, value] }));
  const within = element("span", { class: "group" }, element("span", { class: "name" }, "within"), durationField("Within, for all steps", (seconds) => change({ within: seconds })));
  refill(steps, ...fields, ...(funnel.length < MAX_STEPS ? [...(funnel.length ? ["→"] : []), add] : []), within);
}

function countsTable({ traces, steps: counted }) {
  const headings = ["Step", "Traces", "Of the first", "Of the step before", "Median delay", "Stop here"];
  return table(`${formatNumber(traces)} ${traces === 1 ? "trace" : "traces"}`, headings, counted.map((step, index) => row(step, index, counted)));
}

function row({ name, count, median_seconds: median }, index, counted) {
  const first = counted[0].count;
  const before = counted[index - 1]?.count;
  const stopped = counted[index + 1] && count - counted[index + 1].count;
  const bar = setStyle(element("i", { class: "bar" }), { background: colorOf(name), "inline-size": `${first ? (100 * count) / first : 0}%` });
  return element(
    "tr",
    {},
    element("td", {}, nameLabel(name), element("span", { class: "track" }, bar)),
    cell(link(count, `Traces that reach ${name}`, { reached: index + 1, stopped: [] })),
    cell(first ? formatPercent(count, first) : ""),
    cell(before ? formatPercent(count, before) : ""),
    cell(typeof median === "number" ? formatDuration(median * SECOND) : ""),
    cell(...(stopped === undefined ? [] : [link(stopped, `Traces that stop at ${name}`, { stopped: index + 1, reached: [] }, count)])),
  );
}

function link(count, title, changes, whole) {
  const options = () => changeOptions({ having: [], lacking: [], from: [], to: [], ...changes });
  const share = whole ? ` · ${formatPercent(count, whole)}` : "";
  return element("button", { class: "link", title, "aria-label": `${title}: ${count}`, onclick: () => go({ tab: "traces", options: options() }) }, formatNumber(count) + share);
}
