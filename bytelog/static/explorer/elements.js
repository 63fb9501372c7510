// Elements of the page. What is stored comes in as text nodes and attributes only, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

// A strict Content-Security-Policy forbids style attributes, not this.
export function styled(made, properties) {
  for (const [name, value] of Object.entries(properties)) made.style.setProperty(name, value);
  return made;
}

let notices = 0;

export function tell(text, seconds = 4) {
  const notice = byId("notice");
  const number = ++notices;
  notice.textContent = text;
  notice.hidden = !text;
  if (seconds) setTimeout(() => number === notices && (notice.hidden = true), seconds * 1000);
}

export async function copy(text, what) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copySelected(text); // a page without TLS has no clipboard of its own
  tell(`Copied ${what}.`);
}

function copySelected(text) {
  const area = element("textarea", { class: "aside" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
