// Moments and stretches of time, as people read them.

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

// A date whose UTC fields are those of the reader's clock.
function shown(moment) {
  const date = new Date(moment);
  return zone.isUTC() ? date : new Date(date - date.getTimezoneOffset() * MINUTE);
}

const fields = (moment) => shown(moment).toISOString();

export const day = (moment) => fields(moment).slice(0, 10);
export const clock = (moment) => fields(moment).slice(11, 19);
export const precise = (moment) => fields(moment).slice(11, 23);
export const full = (moment) => `${day(moment)} ${precise(moment)}`;
export const short = (moment) => `${day(moment)} ${clock(moment).slice(0, 5)}`;
export const forInput = (moment) => fields(moment).slice(0, 19);

export function fromInput(text) {
  return new Date(zone.isUTC() ? `${text}Z` : text).getTime();
}

export function duration(milliseconds) {
  if (milliseconds < SECOND) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 10 * SECOND) return `${(milliseconds / SECOND).toFixed(1)} s`;
  const units = [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]];
  const at = units.findIndex(([size]) => milliseconds >= size);
  const [size, name] = units[at];
  const whole = Math.floor(milliseconds / size);
  const [less, lesser] = units[at + 1] ?? [];
  const rest = less && Math.floor((milliseconds % size) / less);
  return rest ? `${whole} ${name} ${rest} ${lesser}` : `${whole} ${name}`;
}

export const number = (value) => value.toLocaleString("en");

export const percent = (part, whole) => {
  const share = (100 * part) / whole;
  return share && share < 1 ? "<1 %" : `${Math.round(share)} %`;
};
