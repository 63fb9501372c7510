// How traces flow from one name to the next: as a diagram, and as tables.

import { fetchPaths } from "./api.js";
import { assignColors, colorOf, dot } from "./colors.js";
import { byId, element, shape } from "./elements.js";
import { layOut } from "./flow.js";
import { SECOND, formatDuration, formatNumber, formatPercent } from "./time.js";
import { buildQuery, go, unfixed } from "./view.js";

const NODE_WIDTH = 10;
const EXIT_WIDTH = 12;
const LABEL_WIDTH = 150; // for the names right of the last column
const PADDING = 58; // around the diagram
const HEIGHT = 360;
const MAX_LETTERS = 17;
const MAX_ROWS = 60;

const box = byId("paths");

let selected; // a name

export async function show(signal) {
  box.replaceChildren(element("p", { class: "loading" }, "Counting transitions…"));
  const flow = await fetchPaths(buildQuery(), { signal });
  assignColors(flow.names.map(({ name }) => name));
  if (!flow.count) return box.replaceChildren(emptyNotice());
  selected = undefined;
  draw(flow);
}

function emptyNotice() {
  const showAll = () => go({ ...unfixed, last: "all" });
  return element(
    "div",
    { class: "empty" },
    element("h2", {}, "No events here"),
    element("p", {}, "No event matches these filters in this window."),
    element("button", { class: "primary", onclick: showAll }, "Show all time"),
  );
}

function draw(flow) {
  const summary = `${formatNumber(flow.traces)} ${flow.traces === 1 ? "trace" : "traces"}, ${formatNumber(flow.count)} events`;
  box.replaceChildren(
    element("header", {}, element("h2", {}, "Paths"), element("p", {}, summary), element("p", { class: "key" }, element("i"), "traces that end there")),
    element("div", { class: "flow", tabindex: 0, role: "group", "aria-label": "Flow from name to name" }, diagram(flow)),
    element("div", { class: "tables" }, transitionTable(flow), nameTable(flow)),
  );
}

function select(flow, name) {
  selected = selected === name ? undefined : name;
  draw(flow);
}

function diagram(flow) {
  const { nodes, links, scale, width: used } = layOut(flow, box.clientWidth - PADDING - LABEL_WIDTH, HEIGHT);
  const width = used + LABEL_WIDTH;
  const label = "Flow diagram; the tables below contain the same numbers";
  const svg = shape("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label });
  for (const link of links) svg.append(linkShape(link));
  for (const node of nodes) svg.append(nodeShape(flow, node, scale));
  return svg;
}

function linkShape(link) {
  const isBright = !selected || selected === link.from || selected === link.to;
  const path = shape("path", { d: describeCurve(link), class: isBright ? "band" : "band faint", "stroke-width": link.size });
  path.style.stroke = colorOf(link.from);
  const counts = `${formatNumber(link.count)} times, median delay ${formatDuration(link.median_seconds * SECOND)}`;
  path.append(shape("title", {}, `${link.from} → ${link.to}\n${counts}`));
  return path;
}

// A forward link goes straight to the next node. A backward link turns around and passes below the
// nodes.
function describeCurve({ fromX, fromY, toX, toY }) {
  const start = fromX + NODE_WIDTH;
  if (toX > fromX) {
    const middle = (start + toX) / 2;
    return `M${start},${fromY} C${middle},${fromY} ${middle},${toY} ${toX},${toY}`;
  }
  const bend = 46;
  const bottom = HEIGHT - 4;
  const turn = `C${start + bend},${fromY} ${start + bend},${bottom} ${start - 20},${bottom}`;
  const back = `C${toX - bend},${bottom} ${toX - bend},${toY} ${toX},${toY}`;
  return `M${start},${fromY} ${turn} L${toX + 20},${bottom} ${back}`;
}

function nodeShape(flow, node, scale) {
  const isSelected = selected === node.name;
  const group = shape("g", { class: isSelected ? "node chosen" : "node", onclick: () => select(flow, node.name) });
  const bar = shape("rect", { x: node.x, y: node.y, width: NODE_WIDTH, height: node.height, rx: 2 });
  bar.style.fill = colorOf(node.name);
  // Traces that end at this name leave at the bottom of its bar.
  const exitHeight = node.ends * scale;
  const exitY = node.y + node.height - exitHeight;
  const exit = shape("rect", { x: node.x + NODE_WIDTH, y: exitY, width: EXIT_WIDTH, height: exitHeight, class: "leave" });
  const label = shape("text", { x: node.x, y: node.y - 18 }, shorten(node.name));
  const ends = node.ends ? ` · ${formatPercent(node.ends, node.count)} end` : "";
  const note = shape("text", { x: node.x, y: node.y - 5, class: "note" }, `${formatNumber(node.count)}${ends}`);
  const title = `${node.name}: ${formatNumber(node.count)} events, ${formatNumber(node.starts)} start and ${formatNumber(node.ends)} end a trace`;
  group.append(exit, bar, label, note, shape("title", {}, title));
  return group;
}

const shorten = (name) => (name.length > MAX_LETTERS ? `${name.slice(0, MAX_LETTERS - 1)}…` : name);

const cell = (text) => element("td", { class: "number" }, text);

function nameLabel(name) {
  return element("span", { class: "what" }, dot(name), element("bdi", {}, name));
}

function table(caption, headings, rows) {
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...headings.map((text, column) => element("th", { scope: "col", class: column ? "number" : "" }, text)))),
    element("tbody", {}, ...rows),
  );
}

function transitionTable(flow) {
  const countOf = new Map(flow.names.map(({ name, count }) => [name, count]));
  const transitions = flow.transitions.filter(({ from, to }) => !selected || from === selected || to === selected);
  const rows = transitions.slice(0, MAX_ROWS).map(({ from, to, count, median_seconds: seconds }) =>
    element(
      "tr",
      {},
      element("td", {}, nameLabel(from), element("span", { class: "arrow" }, "→"), nameLabel(to)),
      cell(formatNumber(count)),
      cell(formatPercent(count, countOf.get(from))),
      cell(formatDuration(seconds * SECOND)),
    ),
  );
  const caption = selected ? `Before and after ${selected}` : "Transitions";
  return table(caption, ["Step", "Times", "Share", "Median delay"], rows);
}

function nameTable(flow) {
  const rows = flow.names.slice(0, MAX_ROWS).map(({ name, count, starts, ends }) => {
    const isSelected = selected === name;
    const button = element("button", { class: "link", "aria-pressed": String(isSelected), onclick: () => select(flow, name) }, nameLabel(name));
    return element(
      "tr",
      { class: isSelected ? "chosen" : "" },
      element("td", {}, button),
      cell(formatNumber(count)),
      cell(formatNumber(starts)),
      cell(`${formatNumber(ends)} · ${formatPercent(ends, count)}`),
    );
  });
  return table("Where traces start and end", ["Name", "Events", "Start", "End"], rows);
}
