// Names an event in the address: `DATE/CHECK/TRACE_ID`. Nothing that an event contains is unique, so
// the check is made from all of it.

import { listEvents } from "./api.js";
import { formatJson } from "./json.js";
import { iso } from "./time.js";

export const referTo = (event) => `${event.date}/${computeCheck(formatJson(event))}/${event.trace_id}`;

// Returns the event, or undefined if there is none.
export async function findEvent(reference, signal) {
  const [, date, traceId] = /^([^/]+)\/[^/]+\/(.+)$/s.exec(reference) ?? [];
  const start = Date.parse(date);
  if (Number.isNaN(start)) return undefined;
  const query = [["start", iso(start)], ["end", iso(start + 1)]];
  const { events } = await listEvents(`/trace/${encodeURIComponent(traceId)}`, query, { signal });
  return events.find((event) => referTo(event) === reference);
}

function computeCheck(text) {
  let value = 0;
  for (let index = 0; index < text.length; index++) value = (Math.imul(value, 31) + text.charCodeAt(index)) >>> 0;
  return value.toString(36);
}
