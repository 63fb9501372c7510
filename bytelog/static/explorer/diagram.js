// Draws the flow from name to name. What stands for traces lists them when it is clicked.

import { colorOf } from "./colors.js";
import { shape } from "./elements.js";
import { layOut } from "./flow.js";
import { SECOND, formatDuration, formatNumber, formatPercent } from "./time.js";

const NODE_WIDTH = 10;
const EXIT_WIDTH = 12;
const LABEL_WIDTH = 150; // for the names right of the last column
const HEIGHT = 360;
const MAX_LETTERS = 17;
const BEND = 46; // pixels from a node to the turn of a backward band
const LANE_GAP = 6; // pixels between two backward bands

// `focus` is what the reader has chosen, and `onFocus` receives what they choose next: `{from, to}`
// for a band, `{from, isEnd}` for the traces that end at a name, and `{from}` for a name.
export function drawFlow(flow, width, { focus, good, onFocus }) {
  const space = width - LABEL_WIDTH;
  let layout = layOut(flow, space, HEIGHT);
  const margin = findMargin(layout.links);
  if (margin) layout = layOut(flow, space - margin, HEIGHT);
  const { nodes, links, scale, width: used } = layout;
  const height = placeBackward(links);
  const size = { width: used + margin + LABEL_WIDTH, height };
  const label = "Flow diagram; the tables below contain the same numbers";
  const svg = shape("svg", { ...size, viewBox: `${-margin} 0 ${size.width} ${height}`, role: "img", "aria-label": label });
  for (const link of links) svg.append(linkShape(link, focus, onFocus));
  for (const node of nodes) svg.append(nodeShape(node, scale, { focus, isGood: good.includes(node.name), onFocus }));
  return svg;
}

const isBackward = ({ fromX, toX }) => toX <= fromX;

const bendOf = ({ size }) => BEND + size / 2;

// Returns the space that bands need left of the first column to turn around. The middle of such a
// curve is three quarters of the way to its control points.
const findMargin = (links) =>
  Math.max(0, ...links.filter(isBackward).map((link) => 0.75 * bendOf(link) + link.size / 2 - link.toX));

// Gives each band that goes backward a lane below the nodes, as wide as the band; returns the height
// of the drawing.
function placeBackward(links) {
  let bottom = HEIGHT;
  const length = ({ fromX, toX }) => fromX - toX;
  for (const link of links.filter(isBackward).sort((a, b) => length(a) - length(b))) {
    link.lane = bottom + LANE_GAP + link.size / 2;
    bottom += LANE_GAP + link.size;
  }
  return bottom + LANE_GAP;
}

function linkShape(link, focus, onFocus) {
  const { from, to } = link;
  const isBright = !focus.from || (focus.to ? focus.from === from && focus.to === to : [from, to].includes(focus.from));
  const path = shape("path", { d: describeCurve(link), class: isBright ? "band" : "band faint", "stroke-width": link.size, onclick: () => onFocus({ from, to }) });
  path.style.stroke = colorOf(from);
  const counts = `${formatNumber(link.count)} times, median delay ${formatDuration(link.median_seconds * SECOND)}`;
  path.append(shape("title", {}, `${from} → ${to}\n${counts}`));
  return path;
}

// A forward link goes straight to the next node. A backward link turns around and passes below the
// nodes.
function describeCurve(link) {
  const { fromX, fromY, toX, toY, lane } = link;
  const start = fromX + NODE_WIDTH;
  if (!isBackward(link)) {
    const middle = (start + toX) / 2;
    return `M${start},${fromY} C${middle},${fromY} ${middle},${toY} ${toX},${toY}`;
  }
  const bend = bendOf(link);
  const turn = `C${start + bend},${fromY} ${start + bend},${lane} ${start},${lane}`;
  const back = `C${toX - bend},${lane} ${toX - bend},${toY} ${toX},${toY}`;
  return `M${start},${fromY} ${turn} L${toX},${lane} ${back}`;
}

function nodeShape(node, scale, { focus, isGood, onFocus }) {
  const { name, x, y, height, count, starts, ends } = node;
  const group = shape("g", { class: focus.from === name && !focus.to ? "node chosen" : "node", onclick: () => onFocus({ from: name }) });
  const bar = shape("rect", { x, y, width: NODE_WIDTH, height, rx: 2 });
  bar.style.fill = colorOf(name);
  // Traces that end at this name leave at the bottom of its bar.
  const showEnds = (event) => (event.stopPropagation(), onFocus({ from: name, isEnd: true }));
  const exitHeight = ends * scale;
  const exitClass = isGood ? "leave good" : "leave";
  const exit = shape("rect", { x: x + NODE_WIDTH, y: y + height - exitHeight, width: EXIT_WIDTH, height: exitHeight, class: exitClass, onclick: showEnds });
  exit.append(shape("title", {}, `${formatNumber(ends)} traces end at ${name}`));
  const note = shape("text", { x, y: y - 5, class: "note" }, formatNumber(count));
  if (ends) note.append(shape("tspan", { class: "ends", onclick: showEnds }, ` · ${formatPercent(ends, count)} end`));
  const title = `${name}: ${formatNumber(count)} events, ${formatNumber(starts)} start and ${formatNumber(ends)} end a trace`;
  group.append(exit, bar, shape("text", { x, y: y - 18 }, shorten(name)), note, shape("title", {}, title));
  return group;
}

const shorten = (name) => ([...name].length > MAX_LETTERS ? `${[...name].slice(0, MAX_LETTERS - 1).join("")}…` : name);
