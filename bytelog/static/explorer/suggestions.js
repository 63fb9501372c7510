// What a text in the search may mean. Each meaning is offered as it will be shown; none is chosen
// without being shown first.

import { resolveField, nameMember, parseFilter, parseFilters, shortenField, unquote } from "./grammar.js";
import { formatNumber } from "./time.js";

const MAX_SUGGESTIONS = 8; // of each kind
const NOTES = { not: "is not", prefix: "starts with", gt: "number", gte: "number", lt: "number", lte: "number", exists: "member", "": "equals" };

// Returns suggestions: `filters` to add, or a `text` to continue with. The first one is the meaning
// of the text itself if it has one, and then `isExact`.
export function suggest(text, { names, members }, values = []) {
  if (!text) return [...suggestNames(names), ...suggestMembers(members, "")];
  const known = members.map(({ name }) => name);
  const filter = parseFilter(text, known);
  return filter ? suggestComparisons(text, filter, known, values) : suggestMeanings(text, names, members);
}

function suggestComparisons(text, filter, known, values) {
  const several = parseFilters(text, known);
  const [parameter, value] = filter;
  const [, field, operator = ""] = /^(.*?)(?:\[(\w+)\])?$/s.exec(parameter);
  const frequent = values
    .filter(([other]) => other !== value && other.toLowerCase().includes(value.toLowerCase()))
    .slice(0, MAX_SUGGESTIONS)
    .map(([other, count]) => ({ filters: [[parameter, other]], note: formatNumber(count) }));
  const isOwn = !field.startsWith("data.");
  const member = known.includes(field) ? [{ filters: [[parameter.replace(field, nameMember([field])), value]], note: "in data" }] : [];
  const isUnknown = !isOwn && known.length && ![...known].some((name) => resolveField(name, known).split(".")[1] === field.split(".")[1]);
  return [
    ...(several ? [{ filters: several, note: `${several.length} filters`, isExact: true }] : []),
    ...(value ? [{ filters: [filter], note: isUnknown ? "no such member here" : NOTES[operator], isExact: true }] : []),
    ...(value && isOwn ? member : []),
    ...(["", "not"].includes(operator) ? frequent : []),
    ...(value ? [suggestText(text)] : []),
  ];
}

function suggestMeanings(text, names, members) {
  const part = text.toLowerCase();
  const numbers = /^-?\d+(\.\d+)?$/.test(text) ? members.filter(({ kinds }) => kinds.has("number")) : [];
  return [
    { ...suggestText(text), isExact: true },
    ...suggestNames(names.filter(([name]) => name.toLowerCase().includes(part))),
    ...suggestMembers(members, part),
    ...numbers.slice(0, MAX_SUGGESTIONS).map(({ field }) => ({ filters: [[field, text]], note: "number" })),
    ...(/^-?\d{1,19}$/.test(text) ? [{ filters: [["id", text]], note: "id" }] : []),
    { filters: [["trace_id", text]], note: "trace" },
  ];
}

const suggestText = (text) => ({ filters: [["q", unquote(text)]], note: "text" });

const suggestNames = (names) =>
  names.slice(0, MAX_SUGGESTIONS).map(([name, count]) => ({ filters: [["name", name]], note: formatNumber(count) }));

const suggestMembers = (members, part) =>
  members
    .filter(({ field }) => shortenField(field).toLowerCase().includes(part.replace(/^data\./, "")))
    .slice(0, MAX_SUGGESTIONS)
    .map(({ field, kinds }) => ({ text: `${shortenField(field)}=`, note: [...kinds].join(", ") }));
