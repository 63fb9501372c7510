// Formats points in time and durations, in UTC or in the time zone of the reader.

import { parseDate } from "./dates.js";
import { browser } from "./storage.js";

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const since = (length) => (now) => ({ start: now - length });

// The name of a window in the address, its text, and how to find its bounds.
export const WINDOWS = [
  ["15m", "Last 15 minutes", since(15 * MINUTE)],
  ["1h", "Last hour", since(HOUR)],
  ["6h", "Last 6 hours", since(6 * HOUR)],
  ["today", "Today", (now) => ({ start: startOfDay(now) })],
  ["yesterday", "Yesterday", (now) => ({ start: startOfDay(now, -1), end: startOfDay(now) })],
  ["24h", "Last 24 hours", since(DAY)],
  ["7d", "Last 7 days", since(7 * DAY)],
  ["30d", "Last 30 days", since(30 * DAY)],
  ["90d", "Last 90 days", since(90 * DAY)],
  ["all", "All time", () => ({})],
];

const ZONE = "bytelog.zone";
const CHANGE = 12 * HOUR; // around a change of the clock by an hour, and far from the next one

export const zone = {
  isUTC: () => browser.getItem(ZONE) === "utc",
  toggle: () => browser.setItem(ZONE, zone.isUTC() ? "local" : "utc"),
  name: () => (zone.isUTC() ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone),
  offsetAt: (moment) => (zone.isUTC() ? 0 : -new Date(moment).getTimezoneOffset() * MINUTE),
};

export const iso = (moment) => new Date(moment).toISOString();

// Returns the start of the reader's day that contains a moment, or the given hour of that day, or of
// one that is some days later.
export function startOfDay(moment, days = 0, hour = 0) {
  const date = new Date(moment);
  if (zone.isUTC()) return Math.floor(moment / DAY + days) * DAY + hour * HOUR;
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days, hour).getTime();
}

// Returns a date whose fields in UTC are those to be shown.
const shift = (moment) => new Date(new Date(moment).getTime() + zone.offsetAt(moment));

const format = (moment) => shift(moment).toISOString();

// Returns the offset from UTC if the clock shows this time twice, before and after it is set back.
function formatOffset(moment) {
  const [time, offset] = [new Date(moment).getTime(), zone.offsetAt(moment)];
  const others = [-CHANGE, CHANGE].map((distance) => zone.offsetAt(time + distance));
  const isRepeated = others.some((other) => other !== offset && zone.offsetAt(time + offset - other) === other);
  if (!isRepeated) return "";
  const size = Math.abs(offset);
  return `${offset < 0 ? "-" : "+"}${new Date(size).toISOString().slice(11, 16)}`;
}

export const formatDay = (moment) => format(moment).slice(0, 10);
export const formatClock = (moment) => format(moment).slice(11, 19) + formatOffset(moment);
export const formatExactTime = (moment) => format(moment).slice(11, 23) + formatOffset(moment);
export const formatFull = (moment) => `${formatDay(moment)} ${formatExactTime(moment)}`;
export const formatMinute = (moment) => format(moment).slice(0, 16).replace("T", " ") + formatOffset(moment);
export const formatInput = (moment) => formatFull(moment).replace(/(:00)?\.000/, "");

const RELATIVE = /^(today|yesterday)(?: +(?:at +)?([01]?\d|2[0-4])(?::([0-5]\d))?)?$/i;

// Returns the moment that a reader writes: `yesterday 17:00`, or any form of the API, in which a date
// without a zone is in that of the page.
export function parseInput(text) {
  const [, day, hour = 0, minute = 0] = RELATIVE.exec(text.trim()) ?? [];
  if (!day) return parseDate(text.trim(), fromLocal);
  return startOfDay(Date.now(), day.toLowerCase() === "today" ? 0 : -1, Number(hour)) + minute * MINUTE;
}

function fromLocal(moment) {
  return zone.isUTC() ? moment : new Date(new Date(moment).toISOString().slice(0, -1)).getTime();
}

export function formatDuration(milliseconds) {
  if (milliseconds < SECOND) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 10 * SECOND) return `${(milliseconds / SECOND).toFixed(1)} s`;
  const units = [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]];
  const index = units.findIndex(([size]) => milliseconds >= size);
  const [size, name] = units[index];
  const whole = Math.floor(milliseconds / size);
  const [smallerSize, smallerName] = units[index + 1] ?? [];
  const rest = smallerSize && Math.floor((milliseconds % size) / smallerSize);
  return rest ? `${whole} ${name} ${rest} ${smallerName}` : `${whole} ${name}`;
}

const UNITS = { s: SECOND, min: MINUTE, m: MINUTE, h: HOUR, d: DAY };

// Returns milliseconds, or NaN; understands what `formatDuration` writes.
export function parseDuration(text) {
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)\s*(s|min|m|h|d)?[a-z]*\s*/gi)];
  const isWhole = parts.length && parts.map(([part]) => part).join("") === text.trim();
  return isWhole ? parts.reduce((sum, [, number, unit = "s"]) => sum + number * UNITS[unit.toLowerCase()], 0) : NaN;
}

export const formatNumber = (value) => value.toLocaleString("en");

// Adds separators to a decimal number of any length.
export const formatDecimal = (text) => text.replace(/^-?\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ","));

export const formatPercent = (part, whole) => {
  const share = (100 * part) / whole;
  return share && share < 1 ? "<1%" : `${Math.round(share)}%`;
};
