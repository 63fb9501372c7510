// A list of any length, of which only the rows in sight are made.

import { dot } from "./colors.js";
import { element, styled } from "./elements.js";
import { preview } from "./json.js";
import { day, precise } from "./time.js";

const BEYOND = 10; // rows above and below those in sight
const AHEAD = 40; // rows before the last at which the next page is asked for

const narrow = matchMedia("(max-width: 640px)");

export class EventList {
  #box;
  #room = element("div", { role: "presentation" });
  #rows = new Map();
  #on;
  events = [];
  active = -1;

  constructor(box, on) {
    this.#box = box;
    this.#on = on;
    box.append(this.#room);
    box.addEventListener("scroll", () => requestAnimationFrame(() => this.#scrolled()));
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#draw()).observe(box);
    narrow.addEventListener("change", () => this.redraw());
  }

  get isAtTop() {
    return this.#box.scrollTop <= this.#height;
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

  prepend(events, most) {
    this.events = [...events, ...this.events].slice(0, most);
    if (this.active >= 0) this.active += events.length;
    this.redraw();
  }

  toTop() {
    this.#box.scrollTop = 0;
  }

  redraw() {
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.#draw();
  }

  choose(place) {
    this.active = Math.max(-1, Math.min(place, this.events.length - 1));
    this.#reveal();
    this.redraw();
  }

  get #height() {
    return narrow.matches ? 52 : 28;
  }

  #scrolled() {
    this.#draw();
    this.#on.scroll();
  }

  #draw() {
    const height = this.#height;
    const first = Math.max(0, Math.floor(this.#box.scrollTop / height) - BEYOND);
    const seen = Math.ceil(this.#box.clientHeight / height) + 2 * BEYOND;
    const last = Math.min(this.events.length, first + seen);
    styled(this.#room, { height: `${this.events.length * height}px` });
    for (const [place, row] of this.#rows) {
      if (place >= first && place < last) continue;
      row.remove();
      this.#rows.delete(place);
    }
    for (let place = first; place < last; place++) {
      if (this.#rows.has(place)) continue;
      const row = this.#row(place);
      styled(row, { transform: `translateY(${place * height}px)` });
      this.#rows.set(place, row);
      this.#room.append(row);
    }
    if (this.#rows.has(this.active)) this.#box.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.#box.removeAttribute("aria-activedescendant");
    if (last > this.events.length - AHEAD) this.#on.more();
  }

  #row(place) {
    const event = this.events[place];
    return element(
      "div",
      { role: "option", id: `row-${place}`, class: "row", "aria-selected": String(place === this.active), "data-place": place },
      element("time", {}, element("span", {}, day(event.date).slice(5)), ` ${precise(event.date)}`),
      element(
        "span",
        { class: "what" },
        dot(event.name),
        element("bdi", {}, event.name),
      ),
      element("bdi", { class: "trace-id", title: "Show this trace" }, event.trace_id),
      element("bdi", { class: "preview" }, preview(event.data)),
    );
  }

  #reveal() {
    const top = this.active * this.#height;
    const bottom = top + this.#height - this.#box.clientHeight;
    if (this.#box.scrollTop > top) this.#box.scrollTop = top;
    if (this.#box.scrollTop < bottom) this.#box.scrollTop = bottom;
  }

  #click(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    this.choose(Number(row.dataset.place));
    const chosen = this.events[this.active];
    if (event.target.closest(".trace-id")) this.#on.trace(chosen);
    else this.#on.open(chosen);
  }

  #key(event) {
    const page = Math.floor(this.#box.clientHeight / this.#height);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      event.preventDefault();
      this.choose(Math.max(0, this.active + steps[event.key]));
      this.#on.move(this.events[this.active]);
    } else if (this.active >= 0 && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.#on.open(this.events[this.active]);
    } else if (this.active >= 0 && event.key === "t") {
      this.#on.trace(this.events[this.active]);
    }
  }
}
