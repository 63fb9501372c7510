// A list of any length that renders only the visible rows.

import { element, setStyle } from "./elements.js";

const EXTRA_ROWS = 10; // rendered above and below the visible ones
const PREFETCH_ROWS = 40; // the next page is requested this many rows before the end

const isNarrow = matchMedia("(max-width: 640px)");

export class List {
  #box;
  #canvas = element("div", { role: "presentation" }); // as high as all rows together
  #rows = new Map(); // rendered rows by index
  #handlers;
  #prefix; // of the ids of rows
  items = [];
  active = -1;

  // `handlers.render` returns the content of a row.
  constructor(box, handlers, prefix = "row") {
    [this.#box, this.#handlers, this.#prefix] = [box, handlers, prefix];
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

  reset(items) {
    this.items = items;
    this.active = -1;
    this.#box.scrollTop = 0;
    this.redraw();
  }

  append(items) {
    this.items.push(...items);
    this.#draw();
  }

  prepend(items, limit) {
    this.items = [...items, ...this.items].slice(0, limit);
    if (this.active >= 0) this.active += items.length;
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
    this.active = Math.max(-1, Math.min(index, this.items.length - 1));
    this.#reveal();
    this.redraw();
  }

  get #rowHeight() {
    return isNarrow.matches ? 52 : 28;
  }

  #onScroll() {
    this.#draw();
    this.#handlers.scroll?.();
  }

  #draw() {
    const height = this.#rowHeight;
    const first = Math.max(0, Math.floor(this.#box.scrollTop / height) - EXTRA_ROWS);
    const count = Math.ceil(this.#box.clientHeight / height) + 2 * EXTRA_ROWS;
    const end = Math.min(this.items.length, first + count);
    setStyle(this.#canvas, { height: `${this.items.length * height}px` });
    for (const [index, row] of this.#rows) {
      if (index >= first && index < end) continue;
      row.remove();
      this.#rows.delete(index);
    }
    for (let index = first; index < end; index++) {
      if (!this.#rows.has(index)) this.#addRow(index);
    }
    if (this.#rows.has(this.active)) this.#box.setAttribute("aria-activedescendant", `${this.#prefix}-${this.active}`);
    else this.#box.removeAttribute("aria-activedescendant");
    if (end > this.items.length - PREFETCH_ROWS) this.#handlers.more();
  }

  #addRow(index) {
    const row = this.#createRow(index);
    setStyle(row, { transform: `translateY(${index * this.#rowHeight}px)` });
    this.#rows.set(index, row);
    this.#canvas.append(row);
  }

  #createRow(index) {
    const attributes = { role: "option", id: `${this.#prefix}-${index}`, class: "row", "aria-selected": String(index === this.active), "data-index": index };
    return element("div", attributes, ...this.#handlers.render(this.items[index]));
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
    const selected = this.items[this.active];
    if (this.#handlers.trace && event.target.closest(".trace-id")) this.#handlers.trace(selected);
    else this.#handlers.open(selected);
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.floor(this.#box.clientHeight / this.#rowHeight);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      event.preventDefault();
      this.select(Math.max(0, this.active + steps[event.key]));
      this.#handlers.move?.(this.items[this.active]);
    } else if (this.active >= 0 && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.#handlers.open(this.items[this.active]);
    } else if (this.active >= 0 && event.key === "t" && this.#handlers.trace) {
      this.#handlers.trace(this.items[this.active]);
    }
  }
}
