// Reports a failed request, and tries again: at once if the reader asks, or by itself after a while.

import { ApiError } from "./api.js";
import { byId, element, notify } from "./elements.js";
import { isRefusal, leave } from "./session.js";
import { SECOND } from "./time.js";

const MAX_RETRY_SECONDS = 16;

let showView;
let failures = 0; // since the last view that was complete
let timer;

// Names what shows the whole view again.
export function listen(show) {
  showView = show;
}

export function fail(error, again = showView) {
  if (error.name === "AbortError") return;
  if (isRefusal(error)) return leave(error);
  if (!(error instanceof ApiError)) throw error;
  stopRetrying();
  failures += 1;
  notify(error.message, 0);
  byId("notice").append(" ", element("button", { onclick: () => (stopRetrying(), again()) }, "Try again"));
  const isTemporary = error.status === 0 || error.status === 429 || error.status >= 500;
  if (isTemporary) timer = setTimeout(again, secondsUntilRetry(error) * SECOND);
}

const secondsUntilRetry = ({ retryAfter = 1 }) => Math.max(retryAfter, Math.min(MAX_RETRY_SECONDS, 2 ** (failures - 1)));

export const stopRetrying = () => clearTimeout(timer);

// Removes the report, because a request has succeeded.
export function recover() {
  stopRetrying();
  if (failures) notify("");
  failures = 0;
}
