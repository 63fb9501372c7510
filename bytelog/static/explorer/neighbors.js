// Finds the traces before and after a trace, in the order of their first event that the filters match.

import { listEvents } from "./api.js";
import { iso } from "./time.js";

const PAGE = 100; // events
const CANDIDATES = 25; // traces that are examined: each costs a request

export async function findNeighbors(trace, steps, filters, signal) {
  const conditions = filters.filter(([name]) => !name.startsWith("trace_id"));
  const findFirst = async (id) => {
    const query = [...conditions, ["limit", 1]];
    return (await listEvents(`/trace/${encodeURIComponent(id)}`, query, { signal })).events[0];
  };
  const beginning = (await findFirst(trace)) ?? steps[0];
  const date = Date.parse(beginning.date);
  const findTrace = async (query) => {
    const { events } = await listEvents("", [...conditions, ["limit", PAGE], ...query], { signal });
    const others = new Set(events.map((event) => event.trace_id).filter((id) => id !== trace));
    for (const id of [...others].slice(0, CANDIDATES)) {
      const first = await findFirst(id);
      if (events.some((event) => event.trace_id === id && event.date === first.date)) return id;
    }
    return undefined;
  };
  const [previous, next] = await Promise.all([
    findTrace([["order", "newest"], ["end", iso(date)]]),
    findTrace([["order", "date"], ["start", iso(date + 1)]]),
  ]);
  return { previous, next };
}
