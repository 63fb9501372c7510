// The parts of tables.

import { dot } from "./colors.js";
import { element } from "./elements.js";

export function table(caption, headings, rows) {
  const heads = headings.map((text, column) => element("th", { scope: "col", class: column ? "number" : "" }, text));
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows),
  );
}

export const cell = (...content) => element("td", { class: "number" }, ...content);

export const nameLabel = (name) => element("span", { class: "what" }, dot(name), element("bdi", { title: name }, name));
