// Counts the events of a window, for the histogram and the legend.

import { fetchSummary, listEvents } from "./api.js";
import { planBars } from "./buckets.js";
import { fetchBars, fetchTotals } from "./chart.js";
import { SECOND } from "./time.js";

// Returns the counts of the window, the bars they are for, and its bounds; undefined without events.
// `chart` says what is counted if it is not names.
export async function countWindow(window, query, signal, chart) {
  const extent = await findExtent(window, query, signal);
  if (!extent) return undefined;
  const { start, end } = extent;
  const fetchPart = (part) => (chart ? fetchBars(part, chart, { signal }) : fetchSummary(part, { signal }));
  const [{ plan, summary }, totals] = await Promise.all([
    countBy(planBars(start, end), query, fetchPart),
    chart && fetchTotals(query, chart, { signal }),
  ]);
  return { ...extent, plan, summary: { ...summary, ...totals } };
}

// Counts by the first plan that the server understands.
async function countBy([plan, ...others], query, fetchPart) {
  try {
    return { plan, summary: await fetchPart([...query, ["bucket", plan.unit], ...(plan.tz ? [["tz", plan.tz]] : [])]) };
  } catch (error) {
    if (error.status !== 400 || !others.length) throw error;
    return countBy(others, query, fetchPart);
  }
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
