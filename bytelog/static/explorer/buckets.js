// Divides a window into bars, and counts the events of each bar.

import { DAY, HOUR, MINUTE } from "./time.js";

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

export const chooseStep = (length) => STEPS.find(([, step]) => length / step <= MAX_BARS) ?? STEPS.at(-1);

// Returns the start of each bar, and for each name its counts by bar; `null` stands for the others.
export function countBars({ buckets }, names, [unit, step], start, end) {
  const isEven = unit === "minute" || unit === "hour" || unit === "day";
  const startOf = (moment) => (isEven ? Math.floor(moment / step) * step : moment);
  const starts = isEven
    ? Array.from({ length: Math.floor((end - startOf(start)) / step) + 1 }, (_, n) => startOf(start) + n * step)
    : buckets.map(({ date }) => Date.parse(date));
  const indexes = new Map(starts.map((moment, index) => [moment, index]));
  const counts = new Map([...names, null].map((name) => [name, starts.map(() => 0)]));
  for (const bucket of buckets) {
    const index = indexes.get(startOf(Date.parse(bucket.date)));
    if (index === undefined) continue;
    for (const [name, count] of Object.entries(bucket.names)) {
      counts.get(counts.has(name) ? name : null)[index] += count;
    }
  }
  return { starts, counts };
}
