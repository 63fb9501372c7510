// A list of traces, in which each row leads to the picture of its trace.

import { fetchTraces } from "./api.js";
import { assignColors, dot } from "./colors.js";
import { element } from "./elements.js";
import { recover } from "./failures.js";
import { List } from "./list.js";
import { SECOND, formatDay, formatClock, formatDuration, formatNumber } from "./time.js";
import { go, view } from "./view.js";

const PAGE = 100; // traces

let lastTrace; // gets the focus when the reader comes back

export class TraceList {
  #list;
  #box;
  #onCount;
  #request = {};

  // `prefix` is that of the ids of rows; `onCount` receives the number of traces that are listed, and
  // whether there are more.
  constructor(box, prefix, onCount) {
    this.#box = box;
    this.#onCount = onCount;
    this.#list = new List(box, { render: renderRow, open: openTrace, more: () => this.#load() }, prefix);
  }

  async show(query, { signal, onFailure }) {
    this.#request = { query, signal, onFailure, cursor: undefined, isLoading: false };
    this.#list.reset([]);
    await this.#loadPage(this.#request);
    this.#returnFocus();
  }

  #load() {
    const request = this.#request;
    if (request.isLoading || !request.cursor) return;
    this.#loadPage(request).then(recover, (error) => request.onFailure(error, () => this.#load()));
  }

  async #loadPage(request) {
    const { query, signal, cursor } = request;
    request.isLoading = true;
    try {
      const { traces, cursor: next } = await fetchTraces([...query, ["limit", PAGE], ...(cursor ? [["cursor", cursor]] : [])], { signal });
      if (request !== this.#request) return;
      request.cursor = next;
      request.isLoading = false;
      assignColors([...new Set(traces.flatMap(({ names }) => names))]);
      this.#list.append(traces);
      this.#onCount(this.#list.items.length, Boolean(next));
    } finally {
      request.isLoading = false;
    }
  }

  #returnFocus() {
    const index = this.#list.items.findIndex((trace) => trace.trace_id === lastTrace);
    if (index < 0) return;
    lastTrace = undefined;
    this.#list.select(index);
    this.#box.focus();
  }
}

function openTrace({ trace_id: trace }) {
  lastTrace = trace;
  go({ tab: "trace", trace, step: 0, origin: view.tab });
}

function renderRow({ trace_id: id, first, seconds, count, names }) {
  const steps = names.map((name) => element("span", { class: "what" }, dot(name), element("bdi", {}, name)));
  const rest = count - names.length;
  return [
    element("time", {}, element("span", {}, formatDay(first).slice(5)), ` ${formatClock(first)}`),
    element("bdi", { class: "trace-id" }, id),
    element("em", {}, `${formatNumber(count)} ${count === 1 ? "event" : "events"}, ${formatDuration(seconds * SECOND)}`),
    element("span", { class: "chain" }, ...steps, ...(rest > 0 ? [element("em", {}, `and ${formatNumber(rest)} more`)] : [])),
  ];
}
