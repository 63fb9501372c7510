// Reads dates in every form that the API accepts: ISO 8601 calendar, week and ordinal dates.

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const DATE = String.raw`(?<day>\d{4}-\d\d-\d\d|\d{8}|\d{4}-W\d\d-\d|\d{4}W\d{3}|\d{4}-?\d{3})`;
const TIME = String.raw`(?<hour>[01]\d|2[0-4])(?::?(?<minute>[0-5]\d)(?::?(?<second>[0-5]\d|60))?)?(?:[.,](?<part>\d+))?`;
const ZONE = String.raw`(?<zone>Z|(?<sign>[+-])(?<zoneHour>[01]\d|2[0-3])(?::?(?<zoneMinute>[0-5]\d))?)?`;
const ISO_8601 = new RegExp(`^${DATE}(?:[T ]${TIME}${ZONE})?$`);
const EARLIEST = utc(1, 0, 1);
const END = utc(10_000, 0, 1);

// Returns milliseconds since 1970, or NaN if the text is not a date. `fromLocal` converts the
// milliseconds of a date without a zone, which is otherwise UTC.
export function parseDate(text, fromLocal = (moment) => moment) {
  const match = ISO_8601.exec(text.toUpperCase())?.groups;
  if (!match) return NaN;
  const offset = (match.sign === "-" ? -1 : 1) * (Number(match.zoneHour ?? 0) * 60 + Number(match.zoneMinute ?? 0));
  const local = parseDay(match.day) + parseTime(match, offset);
  if (Number.isNaN(local)) return NaN;
  const moment = match.zone ? local - offset * MINUTE : fromLocal(local);
  return moment >= EARLIEST && moment < END ? moment : NaN;
}

// `Date.UTC` takes the years 0 to 99 for 1900 to 1999.
function utc(year, month, day) {
  return new Date(0).setUTCFullYear(year, month, day);
}

function parseDay(text) {
  const year = Number(text.slice(0, 4));
  const digits = text.slice(4).replaceAll("-", "");
  if (digits.startsWith("W")) return parseWeekDay(year, Number(digits.slice(1, 3)), Number(digits[3]));
  const isOrdinal = digits.length === 3;
  const month = isOrdinal ? 0 : Number(digits.slice(0, 2)) - 1;
  const day = Number(isOrdinal ? digits : digits.slice(2));
  const moment = utc(year, month, day);
  const date = new Date(moment);
  const isInMonth = isOrdinal || (date.getUTCMonth() === month && date.getUTCDate() === day);
  return date.getUTCFullYear() === year && isInMonth ? moment : NaN;
}

// Week 1 is the week with January 4; a week belongs to the year of its Thursday.
function parseWeekDay(year, week, day) {
  const fourth = utc(year, 0, 4);
  const monday = fourth - ((new Date(fourth).getUTCDay() + 6) % 7) * DAY + (week - 1) * 7 * DAY;
  const isInYear = week >= 1 && new Date(monday + 3 * DAY).getUTCFullYear() === year;
  return isInYear && day >= 1 && day <= 7 ? monday + (day - 1) * DAY : NaN;
}

function parseTime({ hour = 0, minute, second, part = "" }, offset) {
  const unit = second ? 1000 : minute ? MINUTE : 60 * MINUTE;
  const fraction = Math.floor((Number(part.slice(0, 9).padEnd(9, "0")) * unit) / 10 ** 9);
  const [hours, minutes, seconds] = [hour, minute ?? 0, second ?? 0].map(Number);
  if (hours === 24 && (minutes || seconds || fraction)) return NaN;
  // A leap second is the last of an hour in UTC (RFC 3339 section 5.7).
  if (seconds === 60 && (minutes - offset + 24 * 60) % 60 !== 59) return NaN;
  return ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction;
}
