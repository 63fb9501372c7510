// Creates elements of the page. Stored data becomes text nodes and attributes only, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

// Replaces the content of a box; the field or button of the same label has the focus again.
export function refill(box, ...children) {
  const label = box.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  box.replaceChildren(...children);
  if (label) box.querySelector(`[aria-label=${CSS.escape(label)}]`)?.focus();
}

// Gives the focus to the list of the view, if it has one.
export function focusList() {
  const list = findList();
  if (list) list.focus();
  else document.activeElement.blur();
}

export const findList = () => document.querySelector("main > section:not([hidden]) [role=listbox]");

// A strict Content-Security-Policy forbids style attributes, but not setting single properties.
export function setStyle(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value);
  return node;
}

let notices = 0;

export function notify(text, seconds = 4) {
  const notice = byId("notice");
  const number = ++notices;
  notice.textContent = text;
  notice.hidden = !text;
  if (seconds) setTimeout(() => number === notices && (notice.hidden = true), seconds * 1000);
}

export async function copy(text, what) {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copyBySelecting(text); // browsers offer no clipboard to pages without TLS
  notify(`Copied ${what}.`);
}

function copyBySelecting(text) {
  const area = element("textarea", { class: "offscreen" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
