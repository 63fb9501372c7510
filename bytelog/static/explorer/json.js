// JSON in which a number that JavaScript would change keeps its source text.

export class ExactNumber {
  constructor(source) {
    this.source = source;
  }
}

const MAX_PREVIEW = 240; // characters

export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context && String(value) !== context.source
      ? new ExactNumber(context.source)
      : value,
  );
}

export const isContainer = (value) =>
  typeof value === "object" && value !== null && !(value instanceof ExactNumber);

export const sourceOf = (value) => (value instanceof ExactNumber ? value.source : JSON.stringify(value));

export function formatJson(value, indent = "") {
  if (!isContainer(value)) return sourceOf(value);
  const memberIndent = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = Object.entries(value).map(
    ([name, member]) => `${memberIndent}${isList ? "" : `${JSON.stringify(name)}: `}${formatJson(member, memberIndent)}`,
  );
  const [open, close] = isList ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.join(",\n")}\n${indent}${close}` : open + close;
}

// Returns the beginning of an object as one line; reads no more members than fit.
export function formatPreview(object) {
  let text = "";
  for (const name in object) {
    const value = object[name];
    if (text) text += "  ";
    text += `${name}=${isContainer(value) ? summarize(value) : filterTextOf(value)}`;
    if (text.length > MAX_PREVIEW) return `${text.slice(0, MAX_PREVIEW)}…`;
  }
  return text;
}

function summarize(value) {
  return Array.isArray(value) ? `[${value.length}]` : `{${Object.keys(value).slice(0, 4).join(", ")}}`;
}

// Returns the text that a filter compares: a string without quotes, anything else as its source.
export function filterTextOf(value) {
  return typeof value === "string" ? value.slice(0, MAX_PREVIEW * 2) : sourceOf(value);
}
