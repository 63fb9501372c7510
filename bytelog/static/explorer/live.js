// Following events as they arrive.

import { list } from "./api.js";
import { SECOND } from "./time.js";

const PAGE = 200;
const WAIT = 25; // seconds that the server holds an answer in which there is nothing
const PAUSE = 250; // milliseconds between two answers: nobody reads faster
const RATE_OVER = 60 * SECOND;

const sleep = (milliseconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

// The place after all that has arrived.
export async function end(filters, signal) {
  return (await list("", [...filters, ["order", "arrival"], ["limit", 1], ["cursor", "end"]], { signal })).cursor;
}

// Tells of events until the signal; a server that restarts is asked again from the same place.
export async function follow(filters, cursor, signal, { onEvents, onState, onRefused }) {
  let wait = WAIT;
  while (!signal.aborted) {
    const query = [...filters, ["order", "arrival"], ["limit", PAGE], ["cursor", cursor], ["wait", wait]];
    try {
      const page = await list("", query, { signal });
      onState("");
      cursor = page.cursor;
      wait = WAIT;
      if (page.events.length) onEvents(page.events);
      await sleep(PAUSE, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401 || error.status === 403) return onRefused(error);
      if (error.status === 503) wait = 0; // too many wait: look again and again
      else onState("reconnecting…");
      await sleep((error.seconds ?? 1) * SECOND, signal);
    }
  }
}

export class Rate {
  #arrivals = [];

  add(number) {
    this.#arrivals.push([Date.now(), number]);
  }

  perMinute() {
    const since = Date.now() - RATE_OVER;
    this.#arrivals = this.#arrivals.filter(([moment]) => moment > since);
    return this.#arrivals.reduce((sum, [, number]) => sum + number, 0);
  }
}
