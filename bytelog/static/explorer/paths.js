// How traces flow from one name to the next, as bands and as a table.

import { count } from "./api.js";
import { assign, colorOf, dot } from "./colors.js";
import { byId, element, shape } from "./elements.js";
import { arranged } from "./flow.js";
import { SECOND, duration, number, percent } from "./time.js";
import { go, question } from "./view.js";

const NODE = 10;
const BESIDE = 150; // room for the names right of the last column
const TALL = 360;
const LETTERS = 17;

const box = byId("paths");

let chosen;

export async function show(signal) {
  box.replaceChildren(element("p", { class: "loading" }, "Counting what follows what…"));
  const flow = await count("/paths", question(), { signal });
  assign(flow.names.map((it) => it.name));
  if (!flow.count) return box.replaceChildren(empty());
  chosen = undefined;
  draw(flow);
}

function empty() {
  const wider = element("button", { class: "primary", onclick: () => go({ start: undefined, end: undefined, last: "all" }) }, "Look at all time");
  return element("div", { class: "empty" }, element("h2", {}, "Nothing happened here"), element("p", {}, "No event matches these filters in this window."), wider);
}

function draw(flow) {
  const summary = `${number(flow.traces)} ${flow.traces === 1 ? "trace" : "traces"}, ${number(flow.count)} events`;
  box.replaceChildren(
    element("header", {}, element("h2", {}, "Paths"), element("p", {}, summary), element("p", { class: "key" }, element("i"), "traces that end there")),
    element("div", { class: "flow", tabindex: 0, role: "group", "aria-label": "Flow from name to name" }, picture(flow)),
    element("div", { class: "tables" }, follows(flow), ends(flow)),
  );
}

function choose(flow, name) {
  chosen = chosen === name ? undefined : name;
  draw(flow);
}

function picture(flow) {
  const room = box.clientWidth - 58 - BESIDE;
  const { nodes, links, scale, width: used } = arranged(flow, room, TALL);
  const width = used + BESIDE;
  const svg = shape("svg", { width, height: TALL, viewBox: `0 0 ${width} ${TALL}`, role: "img", "aria-label": "The table below says the same" });
  for (const link of links) svg.append(band(link));
  for (const node of nodes) svg.append(nodeOf(flow, node, scale));
  return svg;
}

function band(link) {
  const isMine = !chosen || chosen === link.from || chosen === link.to;
  const path = shape("path", { d: curve(link), class: isMine ? "band" : "band faint", "stroke-width": link.size });
  path.style.stroke = colorOf(link.from);
  path.append(shape("title", {}, `${link.from} → ${link.to}\n${number(link.count)} times, after ${duration(link.median_seconds * SECOND)} in the median`));
  return path;
}

// Forward bands swing from edge to edge; those that go back leave below and return from above.
function curve({ fromX, fromY, toX, toY }) {
  const start = fromX + NODE;
  if (toX > fromX) {
    const middle = (start + toX) / 2;
    return `M${start},${fromY} C${middle},${fromY} ${middle},${toY} ${toX},${toY}`;
  }
  const out = 46;
  return `M${start},${fromY} C${start + out},${fromY} ${start + out},${TALL - 4} ${start - 20},${TALL - 4} L${toX + 20},${TALL - 4} C${toX - out},${TALL - 4} ${toX - out},${toY} ${toX},${toY}`;
}

function nodeOf(flow, node, scale) {
  const group = shape("g", { class: chosen === node.name ? "node chosen" : "node", onclick: () => choose(flow, node.name) });
  const rect = shape("rect", { x: node.x, y: node.y, width: NODE, height: node.height, rx: 2 });
  rect.style.fill = colorOf(node.name);
  // What ends here leaves at the foot of its bar.
  const left = node.ends * scale;
  const leave = shape("rect", { x: node.x + NODE, y: node.y + node.height - left, width: 12, height: left, class: "leave" });
  const label = shape("text", { x: node.x, y: node.y - 18 }, cut(node.name));
  const ended = node.ends ? ` · ${percent(node.ends, node.count)} end` : "";
  const note = shape("text", { x: node.x, y: node.y - 5, class: "note" }, `${number(node.count)}${ended}`);
  group.append(leave, rect, label, note, shape("title", {}, `${node.name}: ${number(node.count)} events, ${number(node.starts)} start and ${number(node.ends)} end a trace`));
  return group;
}

const cut = (name) => (name.length > LETTERS ? `${name.slice(0, LETTERS - 1)}…` : name);

const cell = (text) => element("td", { class: "number" }, text);

function named(name) {
  return element("span", { class: "what" }, dot(name), element("bdi", {}, name));
}

function table(caption, headings, rows) {
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...headings.map((text, place) => element("th", { scope: "col", class: place ? "number" : "" }, text)))),
    element("tbody", {}, ...rows),
  );
}

function follows(flow) {
  const from = new Map(flow.names.map((it) => [it.name, it.count]));
  const mine = flow.transitions.filter((it) => !chosen || it.from === chosen || it.to === chosen);
  const rows = mine.slice(0, 60).map((it) =>
    element(
      "tr",
      {},
      element("td", {}, named(it.from), element("span", { class: "arrow" }, "→"), named(it.to)),
      cell(number(it.count)),
      cell(percent(it.count, from.get(it.from))),
      cell(duration(it.median_seconds * SECOND)),
    ),
  );
  const caption = chosen ? `Before and after ${chosen}` : "What follows what";
  return table(caption, ["Step", "Times", "Of these", "Median"], rows);
}

function ends(flow) {
  const rows = flow.names.slice(0, 60).map((it) =>
    element(
      "tr",
      { class: chosen === it.name ? "chosen" : "" },
      element("td", {}, element("button", { class: "link", "aria-pressed": String(chosen === it.name), onclick: () => choose(flow, it.name) }, named(it.name))),
      cell(number(it.count)),
      cell(number(it.starts)),
      cell(`${number(it.ends)} · ${percent(it.ends, it.count)}`),
    ),
  );
  return table("Where traces start and end", ["Name", "Events", "Start", "End"], rows);
}
