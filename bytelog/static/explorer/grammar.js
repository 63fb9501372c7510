// Filters as people write them, `plan!=pro`, and as the API names them, `data.plan[not]=pro`.

const MEMBER = String.raw`data(?:\.(?:[^.[\]"]+|"[^"]+")){1,10}`; // as MAX_MEMBER_DEPTH of the API
const COUNTABLE = new RegExp(`^(?:name|${MEMBER})$`);
const FILTER = new RegExp(String.raw`^(?:q|(?:name|trace_id|id|${MEMBER})(?:\[(?:not|prefix|gt|gte|lt|lte|exists)\])?)$`);
const OWN_FIELDS = ["name", "trace_id", "id"]; // of an event, beside its data

const SIGNS = { "!=": "not", "^=": "prefix", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "" };
const SIGN_OF = Object.fromEntries(Object.entries(SIGNS).map(([sign, operator]) => [operator, sign]));
const FIELD = String.raw`(?:[^\s=!<>^"]|"[^"]*")+`;
const COMPARISON = new RegExp(String.raw`^(${FIELD})\s*(!=|\^=|>=|<=|=|>|<)\s*(.*)$`, "s");
const PRESENCE = new RegExp(String.raw`^(${FIELD})\s+(exists|is missing)$`);
const NEXT = new RegExp(String.raw`\s+(?=${FIELD}(?:!=|\^=|>=|<=|=|>|<)\S)`);

export const isFilter = (parameter) => FILTER.test(parameter);

// Returns whether the API counts events by the values of a field: not by ids, nor by half a name.
export const isCountable = (field) => COUNTABLE.test(field);

// Returns the name of the API for a field as people write it: `plan` is `data.plan`.
export function resolveField(text, members = []) {
  if (OWN_FIELDS.includes(text) || text.startsWith("data.")) return text;
  return members.includes(text) ? nameMember([text]) : `data.${text}`;
}

// Returns the field of a member of `data`. A name with a dot or a bracket is quoted.
export const nameMember = (path) => ["data", ...path.map((name) => (/[.[\]]/.test(name) ? `"${name}"` : name))].join(".");

// Returns the filter that a text states, with an empty value if that is still to come, or undefined.
export function parseFilter(text, members) {
  const presence = PRESENCE.exec(text);
  if (presence) return [`${resolveField(presence[1], members)}[exists]`, String(presence[2] === "exists")];
  const [, field, sign, value] = COMPARISON.exec(text) ?? [];
  if (!field) return undefined;
  const operator = SIGNS[sign] && `[${SIGNS[sign]}]`;
  return [resolveField(field, members) + operator, unquote(value.trim())];
}

// Returns the filters of a text that states several, such as a copied row; otherwise undefined.
export function parseFilters(text, members) {
  const parts = text.split(NEXT).map((part) => parseFilter(part, members));
  return parts.length > 1 && parts.every((filter) => filter?.[1]) ? parts : undefined;
}

// Returns the text in quotes, which is searched for even if it looks like a filter.
export const unquote = (text) => (/^".*"$/s.test(text) ? text.slice(1, -1) : text);

// Returns a filter as people write it: the field, the sign, and the value.
export function describeFilter([parameter, value]) {
  if (parameter === "q") return ["", "contains ", `“${value}”`];
  const [, field, operator = ""] = /^(.*?)(?:\[(\w+)\])?$/s.exec(parameter);
  const label = shortenField(field);
  if (operator === "exists") return [label, value === "false" ? " is missing" : " exists", ""];
  return [label, SIGN_OF[operator], value];
}

// Leaves out `data.` unless the event has a field of the same name.
export function shortenField(field) {
  const member = field.replace(/^data\./, "");
  return OWN_FIELDS.includes(member) ? field : member.replace(/^"([^"]*)"$/, "$1");
}

// Returns a filter as a text that `parseFilter` understands.
export function writeFilter([parameter, value]) {
  if (parameter === "q") return parseFilter(value) ? `"${value}"` : value;
  const [field, sign, text] = describeFilter([parameter, value]);
  return field + sign + text;
}
