// JSON in which a number that JavaScript would change keeps its source text.

class ExactNumber {
  constructor(source) {
    this.source = source;
  }
}

const MAX_PREVIEW = 240; // characters

export function parse(text) {
  return JSON.parse(keepOrder(text), (_, value, context) =>
    typeof value === "number" && context && String(value) !== context.source
      ? new ExactNumber(context.source)
      : value,
  );
}

// Objects of JavaScript move names that are whole numbers to the front: such a name gets a prefix,
// which `entriesOf` removes.
const PREFIX = "\0";
const STRING = /"([^"\\]*(?:\\.[^"\\]*)*)"(:?)/g;
const MAY_HAVE_NUMBERS = /"(?:\d|\\u00)[^"]*":/;

function keepOrder(text) {
  if (!MAY_HAVE_NUMBERS.test(text)) return text;
  return text.replace(STRING, (string, source, colon) => {
    if (!colon) return string;
    const name = source.includes("\\") ? JSON.parse(`"${source}"`) : source;
    const isMoved = name.startsWith(PREFIX) || /^\d+$/.test(name);
    return isMoved ? `"\\u0000${source}":` : string;
  });
}

export const parseCounts = (text) => JSON.parse(keepOrder(text));

// Returns the members of an object in the order in which they were sent.
export const entriesOf = (object) =>
  Object.entries(object).map(([name, value]) => [name.startsWith(PREFIX) ? name.slice(1) : name, value]);

export const isContainer = (value) =>
  typeof value === "object" && value !== null && !(value instanceof ExactNumber);

export const sourceOf = (value) => (value instanceof ExactNumber ? value.source : JSON.stringify(value));

export function formatJson(value, indent = "") {
  if (!isContainer(value)) return sourceOf(value);
  const memberIndent = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = entriesOf(value).map(
    ([name, member]) => `${memberIndent}${isList ? "" : `${JSON.stringify(name)}: `}${formatJson(member, memberIndent)}`,
  );
  const [open, close] = isList ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.join(",\n")}\n${indent}${close}` : open + close;
}

// Returns the beginning of an object as one line; reads no more members than fit.
export function formatPreview(object) {
  let text = "";
  for (const member in object) {
    const [[name, value]] = entriesOf({ [member]: object[member] });
    if (text) text += "  ";
    text += joinLines(`${name}=${isContainer(value) ? summarize(value) : filterTextOf(value)}`);
    if (text.length > MAX_PREVIEW) return `${text.slice(0, MAX_PREVIEW)}…`;
  }
  return text;
}

// A row of a list is one line high.
const joinLines = (text) => text.replace(/[\t\n\v\f\r\u0085\u2028\u2029]+/g, " ↵ ");

function summarize(value) {
  return Array.isArray(value) ? `[${value.length}]` : `{${entriesOf(value).slice(0, 4).map(([name]) => name).join(", ")}}`;
}

// Returns the text that a filter compares: a string without quotes, anything else as its source.
export function filterTextOf(value) {
  return typeof value === "string" ? value.slice(0, MAX_PREVIEW * 2) : sourceOf(value);
}
