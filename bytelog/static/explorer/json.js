// JSON as it was written: a number that JavaScript would change keeps its text.

export class Written {
  constructor(text) {
    this.text = text;
  }
}

const PREVIEW = 240;

export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context && String(value) !== context.source
      ? new Written(context.source)
      : value,
  );
}

export const isContainer = (value) =>
  typeof value === "object" && value !== null && !(value instanceof Written);

export const written = (value) => (value instanceof Written ? value.text : JSON.stringify(value));

export function format(value, indent = "") {
  if (!isContainer(value)) return written(value);
  const deeper = `${indent}  `;
  const isList = Array.isArray(value);
  const parts = Object.entries(value).map(
    ([name, it]) => `${deeper}${isList ? "" : `${JSON.stringify(name)}: `}${format(it, deeper)}`,
  );
  const [open, close] = isList ? "[]" : "{}";
  return parts.length ? `${open}\n${parts.join(",\n")}\n${indent}${close}` : open + close;
}

// The beginning of an object, without looking at more of it than is shown.
export function preview(object) {
  let text = "";
  for (const name in object) {
    const value = object[name];
    if (text) text += "  ";
    text += `${name}=${isContainer(value) ? brief(value) : said(value)}`;
    if (text.length > PREVIEW) return `${text.slice(0, PREVIEW)}…`;
  }
  return text;
}

function brief(value) {
  return Array.isArray(value) ? `[${value.length}]` : `{${Object.keys(value).slice(0, 4).join(", ")}}`;
}

// What a filter compares: what a string says, all else as it was written.
export function said(value) {
  return typeof value === "string" ? value.slice(0, PREVIEW * 2) : written(value);
}
