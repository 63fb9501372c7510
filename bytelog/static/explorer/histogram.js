// The window over time: bars of counts, stacked by name, in which dragging selects a window.

import { gathered, stepFor } from "./buckets.js";
import { dot, hasColor, painted, paintOf } from "./colors.js";
import { byId, element, styled } from "./elements.js";
import { DAY, MINUTE, clock, day, number, short, zone } from "./time.js";

const HEIGHT = 142;

let chart;
let last;

export const unitFor = (start, end) => stepFor(end - start)[0];

export function draw(summary, start, end, onSelect) {
  last = [summary, start, end, onSelect];
  const step = stepFor(end - start);
  const names = Object.keys(summary.names).filter(hasColor);
  const bars = gathered(summary, names, step, start, end);
  const series = stacked(bars, names);
  clear();
  chart = new uPlot(options(bars, series, step, onSelect), data(bars, series), byId("histogram"));
  const text = `${number(summary.count)} events from ${short(start)} to ${short(end)}, in bars`;
  byId("histogram").setAttribute("role", "img");
  byId("histogram").setAttribute("aria-label", text);
}

export function clear() {
  chart?.destroy();
  chart = undefined;
}

export function redraw() {
  if (chart) draw(...last);
}

// Each series holds its own counts and all below it; the lowest is painted last, over the others.
function stacked({ starts, counts }, names) {
  const sums = starts.map(() => 0);
  const series = [...names, null].map((name) => {
    counts.get(name).forEach((value, place) => (sums[place] += value));
    return { name, values: [...sums], color: name === null ? painted("--hue-0") : paintOf(name) };
  });
  return series.reverse();
}

function data({ starts }, series) {
  return [starts.map((moment) => moment / 1000), ...series.map((it) => it.values)];
}

function options(bars, series, [, step], onSelect) {
  const width = byId("histogram").clientWidth;
  const grid = { stroke: painted("--line"), width: 1 };
  const axis = { stroke: painted("--soft"), font: `11px ${painted("--sans")}`, ticks: { show: false } };
  const range = [bars.starts[0] / 1000, (bars.starts.at(-1) + step) / 1000];
  return {
    width,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => (zone.isUTC() ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
    scales: { x: { range: () => range }, y: { range: (_, __, most) => [0, Math.max(most, 1) * 1.05] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 70, values: (_, splits) => splits.map((it) => mark(it * 1000, range)) },
      { ...axis, grid, size: 44, space: 32, values: (_, splits) => splits.map(whole) },
    ],
    series: [
      {},
      ...series.map(({ color }) => ({
        fill: color,
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({ size: [0.88, 64], align: 1, gap: 0 }),
      })),
    ],
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    hooks: { setSelect: [(plot) => select(plot, step, onSelect)], setCursor: [(plot) => hint(plot, bars, step)] },
  };
}

// The time of day in a window of a day or two, else the day, else the month.
function mark(moment, [start, end]) {
  const length = (end - start) * 1000;
  if (length <= 2 * DAY) return clock(moment).slice(0, 5);
  return length <= 400 * DAY ? day(moment).slice(5) : day(moment).slice(0, 7);
}

const whole = (value) => (Number.isInteger(value) ? Intl.NumberFormat("en", { notation: "compact" }).format(value) : "");

function select(plot, step, onSelect) {
  const { left, width } = plot.select;
  if (width < 3) return;
  const grain = Math.min(step, MINUTE);
  const [start, end] = [left, left + width].map((place) => plot.posToVal(place, "x") * 1000);
  onSelect(Math.floor(start / grain) * grain, Math.ceil(end / grain) * grain);
}

function hint(plot, bars, step) {
  plot.root.querySelector(".counts")?.remove();
  const { left, idx } = plot.cursor;
  const under = left >= 0 && bars.starts.findLastIndex((moment) => moment / 1000 <= plot.posToVal(left, "x"));
  if (idx === null || left < 0 || under < 0) return;
  const rows = [...bars.counts].map(([name, values]) => [name, values[under]]).filter(([, value]) => value);
  const total = rows.reduce((sum, [, value]) => sum + value, 0);
  const box = element(
    "div",
    { class: "counts" },
    element("b", {}, `${short(bars.starts[under])} · ${number(total)}`),
    ...rows.slice(0, 8).map(([name, value]) =>
      element(
        "span",
        {},
        dot(name),
        element("bdi", {}, name ?? "others"),
        element("em", {}, number(value)),
      ),
    ),
  );
  const isRight = left > plot.over.clientWidth / 2;
  styled(box, { [isRight ? "right" : "left"]: `${isRight ? plot.over.clientWidth - left + 12 : left + 12}px` });
  plot.over.append(box);
}

new ResizeObserver(() => chart?.setSize({ width: byId("histogram").clientWidth, height: HEIGHT })).observe(
  byId("histogram"),
);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
