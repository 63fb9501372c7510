// Fields for the name of an event, which offer those of the window, and for a duration.

import { byId, element } from "./elements.js";
import { describeWindow } from "./members.js";
import { SECOND, formatDuration, parseDuration } from "./time.js";
import { option } from "./view.js";

const names = byId("event-names");
const members = byId("event-members");

// Fills the lists of names and members that fields offer.
export async function showNames() {
  const described = await describeWindow().catch(() => ({ names: [], members: [] })); // fields work without
  names.replaceChildren(...described.names.map(([value, count]) => element("option", { value }, String(count))));
  members.replaceChildren(...described.members.map(({ name, kinds }) => element("option", { value: name }, [...kinds].join(", "))));
}

export function nameField(label, value, onChange, list = names) {
  const input = element("input", { "aria-label": label, list: list.id, value: value ?? "", placeholder: "name", autocomplete: "off", spellcheck: "false" });
  input.addEventListener("focus", showNames);
  input.addEventListener("change", () => (input.value.trim() || value) && onChange(input.value.trim()));
  return input;
}

export function durationField(label, onChange) {
  const text = option("within") ? formatDuration(option("within") * SECOND) : "";
  const input = element("input", { "aria-label": label, placeholder: "30 min", value: text, class: "short", autocomplete: "off" });
  input.addEventListener("change", () => {
    const milliseconds = input.value.trim() ? parseDuration(input.value) : 0;
    input.setCustomValidity(Number.isNaN(milliseconds) ? "Write a duration like 90 s, 30 min, 2 h or 3 d." : "");
    if (input.reportValidity()) onChange(milliseconds ? Math.ceil(milliseconds / SECOND) : undefined);
  });
  return input;
}
