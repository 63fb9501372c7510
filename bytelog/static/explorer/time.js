// Formats points in time and durations, in UTC or in the time zone of the reader.

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const WINDOWS = [
  ["15m", "Last 15 minutes", 15 * MINUTE],
  ["1h", "Last hour", HOUR],
  ["6h", "Last 6 hours", 6 * HOUR],
  ["24h", "Last 24 hours", DAY],
  ["7d", "Last 7 days", 7 * DAY],
  ["30d", "Last 30 days", 30 * DAY],
  ["90d", "Last 90 days", 90 * DAY],
  ["all", "All time", Infinity],
];

const ZONE = "bytelog.zone";

export const zone = {
  isUTC: () => localStorage.getItem(ZONE) === "utc",
  toggle: () => localStorage.setItem(ZONE, zone.isUTC() ? "local" : "utc"),
  name: () => (zone.isUTC() ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone),
};

export const iso = (moment) => new Date(moment).toISOString();

// Returns a date whose fields in UTC are those to be shown.
function shift(moment) {
  const date = new Date(moment);
  return zone.isUTC() ? date : new Date(date - date.getTimezoneOffset() * MINUTE);
}

const format = (moment) => shift(moment).toISOString();

export const formatDay = (moment) => format(moment).slice(0, 10);
export const formatClock = (moment) => format(moment).slice(11, 19);
export const formatExactTime = (moment) => format(moment).slice(11, 23);
export const formatFull = (moment) => `${formatDay(moment)} ${formatExactTime(moment)}`;
export const formatMinute = (moment) => `${formatDay(moment)} ${formatClock(moment).slice(0, 5)}`;
export const formatInput = (moment) => format(moment).slice(0, 19);

export function parseInput(text) {
  return new Date(zone.isUTC() ? `${text}Z` : text).getTime();
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

export const formatNumber = (value) => value.toLocaleString("en");

export const formatPercent = (part, whole) => {
  const share = (100 * part) / whole;
  return share && share < 1 ? "<1%" : `${Math.round(share)}%`;
};
