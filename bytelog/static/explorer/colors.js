// A color for each name, which stays the same while the tab is open.

import { element, setStyle } from "./elements.js";
import { tab } from "./storage.js";

const HUES = 10;
const MAX_KEPT = 500; // names
const KEY = "bytelog.colors";

const hues = new Map(JSON.parse(tab.getItem(KEY) ?? "[]"));

// Gives names that have no color yet one that the others of the list do not have, if one is left.
export function assignColors(names) {
  const fresh = names.filter((name) => !hues.has(name));
  if (!fresh.length) return;
  const taken = new Set(names.slice(0, HUES).map((name) => hues.get(name)));
  for (const name of fresh) {
    const preferred = hash(name) % HUES;
    const candidates = Array.from({ length: HUES }, (_, step) => ((preferred + step) % HUES) + 1);
    const hue = candidates.find((candidate) => !taken.has(candidate)) ?? preferred + 1;
    taken.add(hue);
    hues.set(name, hue);
  }
  tab.setItem(KEY, JSON.stringify([...hues].slice(-MAX_KEPT)));
}

// The names are the reader's: the next one must not find them.
export const forgetColors = () => tab.removeItem(KEY);

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
