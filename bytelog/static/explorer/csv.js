// Writes events as CSV with a column for each member of their data.

import { entriesOf, formatJson, isContainer, parse, sourceOf } from "./json.js";

const FIELDS = ["id", "name", "trace_id", "date"];
const FORMULA = /^[=+\-@\t\r\n＝＋－＠']/; // a spreadsheet would compute such a text
const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

// Returns the table for lines of JSON; members of objects are columns such as `cart.items`.
export function writeTable(lines) {
  const events = lines.split("\n").filter(Boolean).map(parse);
  const rows = events.map((event) => flatten(event.data));
  const columns = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const head = [...FIELDS, ...columns.map((name) => (FIELDS.includes(name) ? `data.${name}` : name))];
  const body = events.map((event, index) => [...FIELDS.map((field) => textOf(event[field])), ...columns.map((name) => rows[index].get(name) ?? "")]);
  return [head, ...body].map((cells) => `${cells.map(quote).join(",")}\r\n`).join("");
}

function flatten(data, prefix = "", row = new Map()) {
  for (const [name, value] of entriesOf(data)) {
    if (isContainer(value) && !Array.isArray(value)) flatten(value, `${prefix}${name}.`, row);
    else row.set(prefix + name, textOf(value));
  }
  return row;
}

function textOf(value) {
  if (value === null) return "";
  if (typeof value === "string") return value;
  return isContainer(value) ? formatJson(value).replace(/\n\s*/g, " ") : sourceOf(value);
}

function quote(text) {
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",;\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
