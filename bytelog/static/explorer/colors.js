// A colour for each name: the same one for as long as the page is open.

import { element, styled } from "./elements.js";

const HUES = 10;
const given = new Map();

// The first names, the most frequent, get a colour that none of the others has; the rest is grey.
export function assign(names) {
  const taken = new Set();
  for (const name of names.slice(0, HUES)) {
    const wanted = given.get(name) ?? (hash(name) % HUES) + 1;
    const places = Array.from({ length: HUES }, (_, step) => ((wanted - 1 + step) % HUES) + 1);
    const free = places.find((place) => !taken.has(place));
    taken.add(free);
    given.set(name, free);
  }
  for (const name of names.slice(HUES)) given.delete(name);
}

export const hasColor = (name) => given.has(name);

const variable = (name) => `--hue-${given.get(name) ?? 0}`;

export const colorOf = (name) => `var(${variable(name)})`;

export const dot = (name) => styled(element("i", { class: "dot" }), { background: colorOf(name) });

// A canvas takes no variables.
export const painted = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const paintOf = (name) => painted(variable(name));

function hash(text) {
  let value = 0;
  for (const character of text) value = (value * 31 + character.codePointAt(0)) >>> 0;
  return value;
}
