// The traces before and after one, in the order of their first event that the filters leave.

import { list } from "./api.js";
import { iso } from "./time.js";

const PAGE = 100;
const CANDIDATES = 25; // traces that are looked at: each costs a question

export async function neighbours(trace, steps, filters, signal) {
  const conditions = [...filters].filter(([name]) => name !== "trace_id");
  const first = async (id) => {
    const query = [...conditions, ["limit", 1]];
    return (await list(`/trace/${encodeURIComponent(id)}`, query, { signal })).events[0];
  };
  const own = (await first(trace)) ?? steps[0];
  const date = Date.parse(own.date);
  const find = async (query) => {
    const { events } = await list("", [...conditions, ["limit", PAGE], ...query], { signal });
    const others = new Map(events.filter((it) => it.trace_id !== trace).map((it) => [it.trace_id, it]));
    for (const [id] of [...others].slice(0, CANDIDATES)) {
      const beginning = await first(id);
      if (events.some((it) => it.trace_id === id && it.date === beginning.date)) return id;
    }
    return undefined;
  };
  const [previous, next] = await Promise.all([
    find([["order", "newest"], ["end", iso(date)]]),
    find([["order", "date"], ["start", iso(date + 1)]]),
  ]);
  return { previous, next };
}
