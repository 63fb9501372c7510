// The traces of the window: those with or without some names, and those where a step is overdue.

import { byId, element, refill } from "./elements.js";
import { durationField, nameField, showNames } from "./fields.js";
import { buildSteps } from "./funnel.js";
import { TraceList } from "./tracelist.js";
import { formatNumber } from "./time.js";
import { buildQuery, changeOptions, go, option, unfixed, view } from "./view.js";

const STATES = [
  ["overdue", "overdue"],
  ["late", "late"],
  ["done", "in time"],
];
const NONE = { having: [], lacking: [], from: [], to: [], within: [], state: [], funnel: [], reached: [], stopped: [] };

const form = byId("conditions");
const empty = byId("traces").querySelector(".empty");
const list = new TraceList(byId("trace-list"), "trace", showCount);

export async function show(signal, onFailure) {
  showForm();
  showNames();
  empty.hidden = true;
  byId("trace-count").textContent = "Searching…";
  await list.show([...buildQuery(), ...buildConditions(view.options)], { signal, onFailure });
}

// Returns the conditions of the view as the API names them.
export function buildConditions({ funnel, from, to, within, state, ...others }) {
  const query = ["having", "lacking"].flatMap((name) => others[name].map((value) => [name, value]));
  if (from.length && to.length && within.length) {
    query.push(["from", from[0]], ["to", to[0]], ["within", within[0]], ["state", state[0] ?? "overdue"]);
  } else if (funnel.length) {
    const end = others.stopped.length ? ["stopped", others.stopped[0]] : ["reached", others.reached[0] ?? 1];
    query.push(...buildSteps({ funnel, within }), end);
  }
  return query;
}

function showCount(count, hasMore) {
  byId("trace-count").textContent = `${formatNumber(count)}${hasMore ? "+" : ""} ${count === 1 && !hasMore ? "trace" : "traces"}`;
  empty.hidden = count > 0 || hasMore;
}

const change = (changes) => go({ options: changeOptions(changes) });

function showForm() {
  refill(
    form,
    ...nameList("having", "With"),
    ...nameList("lacking", "Without"),
    element("span", { class: "group" }, ...durationFields()),
    ...funnelChip(),
  );
  empty.replaceChildren(
    element("h2", {}, "No traces here"),
    element("p", {}, "No trace in this window meets these conditions."),
    element("button", { onclick: () => go({ ...unfixed, last: "all" }) }, "Show all time"),
    element("button", { onclick: () => go({ filters: [], options: changeOptions(NONE) }) }, "Remove the conditions"),
  );
}

function nameList(name, label) {
  const names = view.options[name];
  const chips = names.map((value, index) =>
    chip(value, `Remove ${value}`, () => change({ [name]: names.filter((_, other) => other !== index) })),
  );
  const add = (value) => change({ [name]: [...names, value] });
  return [element("span", { class: "group" }, element("span", { class: "name" }, label), ...chips, nameField(`${label} the name`, "", add))];
}

function chip(text, label, onRemove) {
  return element("span", { class: "chip" }, element("bdi", {}, text), element("button", { type: "button", "aria-label": label, onclick: onRemove }, "✕"));
}

function durationFields() {
  const [from, to] = ["from", "to"].map((name) => nameField(name === "from" ? "From the name" : "To the name", option(name), (value) => change({ [name]: value, reached: [], stopped: [], funnel: [] })));
  const within = durationField("Within", (seconds) => change({ within: seconds }));
  const state = element("select", { "aria-label": "State", title: "Whether the second name has not followed in time, has followed late, or in time", onchange: () => change({ state: state.value }) });
  state.append(...STATES.map(([value, text]) => element("option", { value, selected: value === (option("state") ?? "overdue") }, text)));
  const isComplete = option("from") && option("to") && option("within");
  return [element("span", { class: "name" }, "From"), from, "→", to, element("span", { class: "name" }, "within"), within, ...(isComplete ? [state, clearButton()] : [])];
}

const clearButton = () =>
  element("button", { type: "button", class: "quiet", "aria-label": "Remove from and to", onclick: () => change({ from: [], to: [], within: [], state: [] }) }, "✕");

function funnelChip() {
  const { funnel, reached, stopped } = view.options;
  const step = Number(stopped[0] ?? reached[0]);
  if (!funnel.length || !step) return [];
  const text = stopped.length ? `reached ${funnel[step - 1]}, but not ${funnel[step]}` : `reached ${funnel[step - 1]}`;
  const last = stopped.length && step === funnel.length ? `reached ${funnel[step - 1]}` : text;
  return [chip(last, "Remove the funnel", () => change({ funnel: [], reached: [], stopped: [], within: [] }))];
}
