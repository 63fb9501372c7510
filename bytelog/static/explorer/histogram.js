// The histogram: bars of counts, stacked by name. Dragging over it selects a window.

import { countBars } from "./buckets.js";
import { dot, readColor, readVariable } from "./colors.js";
import { byId, element, setStyle } from "./elements.js";
import { DAY, MINUTE, formatClock, formatDay, formatMinute, formatNumber, iso, zone } from "./time.js";
import { zoomOut } from "./window.js";

const HEIGHT = 142; // pixels
const MAX_SERIES = 10; // the rest is one grey series

let chart;
let drawn; // the arguments of the last drawing

export function draw(summary, plan, start, end, onSelect) {
  drawn = [summary, plan, start, end, onSelect];
  const names = summary.names.slice(0, MAX_SERIES).map(([name]) => name);
  const bars = countBars(summary, names, plan);
  const series = stackSeries(bars, names);
  clear();
  chart = new uPlot(buildOptions(bars, series, plan, onSelect), listData(bars, series), byId("histogram"));
  const text = `Histogram of ${formatNumber(summary.count)} events from ${formatMinute(start)} to ${formatMinute(end)}`;
  byId("histogram").setAttribute("role", "img");
  byId("histogram").setAttribute("aria-label", text);
}

export function clear() {
  chart?.destroy();
  chart = undefined;
}

export function redraw() {
  if (chart) draw(...drawn);
}

// Each series holds the sums of its own counts and of those below it. The lowest one is drawn last,
// over the others.
function stackSeries({ starts, counts }, names) {
  const sums = starts.map(() => 0);
  const series = [...names, null].map((name) => {
    counts.get(name).forEach((count, index) => (sums[index] += count));
    return { name, values: [...sums], color: name === null ? readVariable("--hue-0") : readColor(name) };
  });
  return series.reverse();
}

function listData({ starts }, series) {
  return [starts.map((moment) => moment / 1000), ...series.map(({ values }) => values)];
}

function buildOptions(bars, series, plan, onSelect) {
  const { step } = plan;
  const width = byId("histogram").clientWidth;
  const grid = { stroke: readVariable("--line"), width: 1 };
  const axis = { stroke: readVariable("--muted"), font: `11px ${readVariable("--sans")}`, ticks: { show: false } };
  const range = [bars.starts[0] / 1000, (bars.starts.at(-1) + step) / 1000];
  return {
    width,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => (zone.isUTC() ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
    scales: { x: { range: () => range }, y: { range: (_, __, highest) => [0, Math.max(highest, 1) * 1.05] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 70, values: (_, splits) => splits.map((seconds) => formatTick(seconds * 1000, range)) },
      { ...axis, grid, size: 44, space: 32, values: (_, splits) => splits.map(formatCount) },
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
    hooks: { ready: [zoomOutOnDoubleClick], setSelect: [(plot) => selectWindow(plot, step, onSelect)], setCursor: [(plot) => showCounts(plot, bars, plan)] },
  };
}

// Shows the time of day in windows of up to two days, the month in windows of more than 400 days,
// and otherwise the day.
function formatTick(moment, [start, end]) {
  const length = (end - start) * 1000;
  if (length <= 2 * DAY) return formatClock(moment).slice(0, 5);
  return length <= 400 * DAY ? formatDay(moment).slice(5) : formatDay(moment).slice(0, 7);
}

const formatCount = (value) => (Number.isInteger(value) ? Intl.NumberFormat("en", { notation: "compact" }).format(value) : "");

const zoomOutOnDoubleClick = (plot) => plot.over.addEventListener("dblclick", zoomOut);

function selectWindow(plot, step, onSelect) {
  const { left, width } = plot.select;
  if (width < 3) return;
  const unit = Math.min(step, MINUTE);
  const [start, end] = [left, left + width].map((x) => plot.posToVal(x, "x") * 1000);
  onSelect(Math.floor(start / unit) * unit, Math.ceil(end / unit) * unit);
}

// Days and longer bars of UTC do not begin at the reader's midnight.
const formatStart = (moment, { isUTC }) =>
  isUTC && !zone.isUTC() ? `${iso(moment).slice(0, 10)} UTC` : formatMinute(moment);

function showCounts(plot, bars, plan) {
  plot.root.querySelector(".counts")?.remove();
  const { left, idx } = plot.cursor;
  const index = left >= 0 && bars.starts.findLastIndex((moment) => moment / 1000 <= plot.posToVal(left, "x"));
  if (idx === null || left < 0 || index < 0) return;
  const rows = [...bars.counts].map(([name, values]) => [name, values[index]]).filter(([, count]) => count);
  const total = rows.reduce((sum, [, count]) => sum + count, 0);
  const box = element(
    "div",
    { class: "counts" },
    element("b", {}, `${formatStart(bars.starts[index], plan)} · ${formatNumber(total)}`),
    ...rows.slice(0, 8).map(([name, count]) =>
      element(
        "span",
        {},
        dot(name),
        element("bdi", {}, name ?? "others"),
        element("em", {}, formatNumber(count)),
      ),
    ),
  );
  const isRight = left > plot.over.clientWidth / 2;
  setStyle(box, { [isRight ? "right" : "left"]: `${isRight ? plot.over.clientWidth - left + 12 : left + 12}px` });
  plot.over.append(box);
}

new ResizeObserver(() => chart?.setSize({ width: byId("histogram").clientWidth, height: HEIGHT })).observe(
  byId("histogram"),
);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
