// How a window is cut into bars, and the counts of each.

import { DAY, HOUR, MINUTE } from "./time.js";

const MOST_BARS = 120;

// What the API counts in, and how long a bar is; months and years are as long as they are.
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => ["minute", minutes * MINUTE]),
  ...[1, 3, 6, 12].map((hours) => ["hour", hours * HOUR]),
  ["day", DAY],
  ["week", 7 * DAY],
  ["month", 30 * DAY],
  ["year", 365 * DAY],
];

export const stepFor = (length) => STEPS.find(([, step]) => length / step <= MOST_BARS) ?? STEPS.at(-1);

// The starts of bars, and for each name the counts in them.
export function gathered({ buckets }, names, [unit, step], start, end) {
  const even = unit === "minute" || unit === "hour" || unit === "day";
  const place = (moment) => (even ? Math.floor(moment / step) * step : moment);
  const found = buckets.map((bucket) => [place(Date.parse(bucket.date)), bucket]);
  const starts = even
    ? Array.from({ length: Math.floor((end - place(start)) / step) + 1 }, (_, n) => place(start) + n * step)
    : found.map(([moment]) => moment);
  const at = new Map(starts.map((moment, number) => [moment, number]));
  const counts = new Map([...names, null].map((name) => [name, starts.map(() => 0)]));
  for (const [moment, bucket] of found) {
    if (!at.has(moment)) continue;
    for (const [name, number] of Object.entries(bucket.names)) {
      counts.get(counts.has(name) ? name : null)[at.get(moment)] += number;
    }
  }
  return { starts, counts };
}
