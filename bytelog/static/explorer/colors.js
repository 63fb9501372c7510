// A color for each name, which stays the same while the page is open.

import { element, setStyle } from "./elements.js";

const HUES = 10;
const hues = new Map();

// Gives each of the first names, which are the most frequent, a color of its own; the rest is grey.
export function assignColors(names) {
  const taken = new Set();
  for (const name of names.slice(0, HUES)) {
    const preferred = hues.get(name) ?? (hash(name) % HUES) + 1;
    const candidates = Array.from({ length: HUES }, (_, step) => ((preferred - 1 + step) % HUES) + 1);
    const hue = candidates.find((candidate) => !taken.has(candidate));
    taken.add(hue);
    hues.set(name, hue);
  }
  for (const name of names.slice(HUES)) hues.delete(name);
}

export const hasColor = (name) => hues.has(name);

const variableOf = (name) => `--hue-${hues.get(name) ?? 0}`;

export const colorOf = (name) => `var(${variableOf(name)})`;

export const dot = (name) => setStyle(element("i", { class: "dot" }), { background: colorOf(name) });

// A canvas does not understand CSS variables: it needs their values.
export const readVariable = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const readColor = (name) => readVariable(variableOf(name));

function hash(text) {
  let value = 0;
  for (const character of text) value = (value * 31 + character.codePointAt(0)) >>> 0;
  return value;
}
