// Follows events as they arrive.

import { listEvents } from "./api.js";
import { SECOND } from "./time.js";

const PAGE = 200; // events
const WAIT_SECONDS = 25; // how long the server may hold a request until an event arrives
const PAUSE_MILLISECONDS = 250; // between two requests: nobody reads faster
const RATE_WINDOW = 60 * SECOND;

const sleep = (milliseconds, signal) =>
  new Promise((resolve) => {
    const stop = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop); // the signal outlives many calls
      resolve();
    };
    const timer = setTimeout(stop, milliseconds);
    signal.addEventListener("abort", stop);
  });

// Returns the cursor after all events that have arrived.
export async function findEnd(filters, signal) {
  const query = [...filters, ["order", "arrival"], ["limit", 1], ["cursor", "end"]];
  return (await listEvents("", query, { signal })).cursor;
}

// Reports the events after a cursor until the signal aborts. After a failure it continues from the
// last cursor, and reports that the server is there again.
export async function follow(filters, cursor, signal, { onEvents, onState, onRecovered, onLost, onRefused }) {
  let wait = WAIT_SECONDS;
  let hasFailed = false;
  while (!signal.aborted) {
    const query = [...filters, ["order", "arrival"], ["limit", PAGE], ["cursor", cursor], ["wait", wait]];
    try {
      // After a failure, ask without waiting: the answer shows that the server is there again.
      if (hasFailed) query.at(-1)[1] = 0;
      const page = await listEvents("", query, { signal });
      onState("");
      if (hasFailed) onRecovered?.();
      hasFailed = false;
      cursor = page.cursor;
      wait = WAIT_SECONDS;
      if (page.events.length) onEvents(page.events);
      await sleep(PAUSE_MILLISECONDS, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 410) return onLost?.(); // a restored backup does not have this event
      if (error.status >= 400 && error.status < 429) return onRefused(error);
      if (error.status === 503) wait = 0; // too many requests wait: poll instead
      else onState("reconnecting…");
      hasFailed ||= error.status !== 503;
      await sleep((error.retryAfter ?? 1) * SECOND, signal);
    }
  }
}

export class Rate {
  #arrivals = [];

  add(count) {
    this.#arrivals.push([Date.now(), count]);
  }

  perMinute() {
    const start = Date.now() - RATE_WINDOW;
    this.#arrivals = this.#arrivals.filter(([moment]) => moment > start);
    return this.#arrivals.reduce((sum, [, count]) => sum + count, 0);
  }
}
