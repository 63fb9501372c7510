// Divides a window into bars, and counts the events of each bar.

import { DAY, HOUR, MINUTE, startOfDay, zone } from "./time.js";

const MAX_BARS = 120;

// The unit in which the API counts, and the length of a bar. Months and years vary in length; their
// lengths here only serve to choose a step.
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => ["minute", minutes * MINUTE]),
  ...[1, 3, 6, 12].map((hours) => ["hour", hours * HOUR]),
  ["day", DAY],
  ["week", 7 * DAY],
  ["month", 30 * DAY],
  ["year", 365 * DAY],
];

// Returns the ways to divide a window, the best first. `unit` is what the API counts by, in the
// reader's time zone with `tz`; `starts` are those of the bars, or each bucket of the API is a bar.
export function planBars(start, end) {
  const [unit, step] = STEPS.find(([, length]) => (end - start) / length <= MAX_BARS) ?? STEPS.at(-1);
  const even = { unit, step, starts: step > DAY ? undefined : listMultiples(step, start, end), isUTC: step >= DAY };
  if (step <= HOUR || zone.isUTC()) return [even];
  // The server may not know the zone; then it counts days of UTC.
  return [{ unit, step, tz: zone.name(), starts: step > DAY ? undefined : divideDays(step, start, end) }, even];
}

function listMultiples(step, start, end) {
  const first = Math.floor(start / step) * step;
  return Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, index) => first + index * step);
}

// Divides the days of the reader, which are an hour shorter or longer when the clock changes.
function divideDays(step, start, end) {
  const starts = [];
  for (let day = startOfDay(start); day <= end; day = startOfDay(day, 1)) {
    for (let hour = 0; hour < 24; hour += step / HOUR) starts.push(startOfDay(day, 0, hour));
  }
  return starts.filter((bar, index) => bar <= end && (starts[index + 1] ?? Infinity) > start);
}

// Returns the start of each bar, and for each name its counts by bar; `null` stands for the others.
export function countBars({ buckets }, names, plan) {
  const starts = plan.starts ?? buckets.map(({ date }) => Date.parse(date));
  const counts = new Map([...names, null].map((name) => [name, starts.map(() => 0)]));
  let index = 0;
  for (const bucket of buckets) {
    const moment = Date.parse(bucket.date);
    while (starts[index + 1] <= moment) index++;
    for (const [name, count] of bucket.names) counts.get(counts.has(name) ? name : null)[index] += count;
  }
  return { starts, counts };
}
