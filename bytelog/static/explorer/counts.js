// Counts the events of a window, for the histogram and the legend.

import { fetchSummary, listEvents } from "./api.js";
import { planBars } from "./buckets.js";
import { SECOND, iso } from "./time.js";

// Returns the counts of the window, the bars they are for, and its bounds; undefined without events.
export async function countWindow(window, query, signal) {
  const extent = await findExtent(window, query, signal);
  if (!extent) return undefined;
  const { start, end } = extent;
  return { ...extent, ...(await countBy(planBars(start, end), end, query, signal)) };
}

// Counts by the first plan whose counts fit into responses.
async function countBy([plan, ...others], end, query, signal) {
  const countPart = (part) => fetchSummary([...part, ["bucket", plan.unit]], { signal });
  try {
    const parts = plan.parts ? divideQuery(plan, end, query) : [query];
    return { plan, summary: joinSummaries(await Promise.all(parts.map(countPart))) };
  } catch (error) {
    if (error.status !== 400 || !others.length) throw error;
    return countBy(others, end, query, signal);
  }
}

function divideQuery({ parts, starts }, end, query) {
  const filters = query.filter(([name]) => name !== "start" && name !== "end");
  const bounds = Array.from({ length: parts }, (_, part) => starts[Math.floor((part * starts.length) / parts)]);
  return bounds.map((start, part) => [...filters, ["start", iso(start)], ["end", iso(bounds[part + 1] ?? end)]]);
}

function joinSummaries(summaries) {
  const counts = new Map();
  for (const [name, count] of summaries.flatMap(({ names }) => names)) counts.set(name, (counts.get(name) ?? 0) + count);
  return {
    count: summaries.reduce((sum, { count }) => sum + count, 0),
    names: [...counts].sort(([, a], [, b]) => b - a),
    buckets: summaries.flatMap(({ buckets }) => buckets),
  };
}

// A window without a start begins with its first event; one without an end lasts until now, or
// until the newest event if that is later.
async function findExtent({ start, end }, query, signal) {
  const findOne = async (order) => (await listEvents("", [...query, ["order", order], ["limit", 1]], { signal })).events[0];
  const first = start ?? (await findOne("date"));
  if (first === undefined) return undefined;
  const last = end ?? Math.max(Date.now(), start === undefined ? Date.parse((await findOne("newest")).date) + 1 : 0);
  return { start: start ?? Date.parse(first.date), end: Math.max(last, (start ?? 0) + SECOND) };
}
