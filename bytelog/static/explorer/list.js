// A list of any length that renders only the visible rows.

import { dot } from "./colors.js";
import { element, setStyle } from "./elements.js";
import { formatPreview } from "./json.js";
import { formatDay, formatExactTime } from "./time.js";

const EXTRA_ROWS = 10; // rendered above and below the visible ones
const PREFETCH_ROWS = 40; // the next page is requested this many rows before the end

const isNarrow = matchMedia("(max-width: 640px)");

export class EventList {
  #box;
  #canvas = element("div", { role: "presentation" }); // as high as all rows together
  #rows = new Map(); // rendered rows by index
  #handlers;
  events = [];
  active = -1;

  constructor(box, handlers) {
    this.#box = box;
    this.#handlers = handlers;
    box.append(this.#canvas);
    box.addEventListener("scroll", () => requestAnimationFrame(() => this.#onScroll()));
    box.addEventListener("keydown", (event) => this.#onKey(event));
    box.addEventListener("click", (event) => this.#onClick(event));
    new ResizeObserver(() => this.#draw()).observe(box);
    isNarrow.addEventListener("change", () => this.redraw());
  }

  get isAtTop() {
    return this.#box.scrollTop <= this.#rowHeight;
  }

  reset(events) {
    this.events = events;
    this.active = -1;
    this.#box.scrollTop = 0;
    this.redraw();
  }

  append(events) {
    this.events.push(...events);
    this.#draw();
  }

  prepend(events, limit) {
    this.events = [...events, ...this.events].slice(0, limit);
    if (this.active >= 0) this.active += events.length;
    if (this.active >= limit) this.active = -1;
    this.redraw();
  }

  scrollToTop() {
    this.#box.scrollTop = 0;
  }

  redraw() {
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.#draw();
  }

  select(index) {
    this.active = Math.max(-1, Math.min(index, this.events.length - 1));
    this.#reveal();
    this.redraw();
  }

  get #rowHeight() {
    return isNarrow.matches ? 52 : 28;
  }

  #onScroll() {
    this.#draw();
    this.#handlers.scroll();
  }

  #draw() {
    const height = this.#rowHeight;
    const first = Math.max(0, Math.floor(this.#box.scrollTop / height) - EXTRA_ROWS);
    const count = Math.ceil(this.#box.clientHeight / height) + 2 * EXTRA_ROWS;
    const end = Math.min(this.events.length, first + count);
    setStyle(this.#canvas, { height: `${this.events.length * height}px` });
    for (const [index, row] of this.#rows) {
      if (index >= first && index < end) continue;
      row.remove();
      this.#rows.delete(index);
    }
    for (let index = first; index < end; index++) {
      if (!this.#rows.has(index)) this.#addRow(index);
    }
    if (this.#rows.has(this.active)) this.#box.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.#box.removeAttribute("aria-activedescendant");
    if (end > this.events.length - PREFETCH_ROWS) this.#handlers.more();
  }

  #addRow(index) {
    const row = this.#createRow(index);
    setStyle(row, { transform: `translateY(${index * this.#rowHeight}px)` });
    this.#rows.set(index, row);
    this.#canvas.append(row);
  }

  #createRow(index) {
    const event = this.events[index];
    return element(
      "div",
      { role: "option", id: `row-${index}`, class: "row", "aria-selected": String(index === this.active), "data-index": index },
      element("time", {}, element("span", {}, formatDay(event.date).slice(5)), ` ${formatExactTime(event.date)}`),
      element(
        "span",
        { class: "what" },
        dot(event.name),
        element("bdi", {}, event.name),
      ),
      element("bdi", { class: "trace-id", title: "Show this trace" }, event.trace_id),
      element("bdi", { class: "preview" }, formatPreview(event.data)),
    );
  }

  #reveal() {
    const top = this.active * this.#rowHeight;
    const bottom = top + this.#rowHeight - this.#box.clientHeight;
    if (this.#box.scrollTop > top) this.#box.scrollTop = top;
    if (this.#box.scrollTop < bottom) this.#box.scrollTop = bottom;
  }

  #onClick(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.select(Number(row.dataset.index));
    const selected = this.events[this.active];
    if (event.target.closest(".trace-id")) this.#handlers.trace(selected);
    else this.#handlers.open(selected);
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.floor(this.#box.clientHeight / this.#rowHeight);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      event.preventDefault();
      this.select(Math.max(0, this.active + steps[event.key]));
      this.#handlers.move(this.events[this.active]);
    } else if (this.active >= 0 && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.#handlers.open(this.events[this.active]);
    } else if (this.active >= 0 && event.key === "t") {
      this.#handlers.trace(this.events[this.active]);
    }
  }
}
