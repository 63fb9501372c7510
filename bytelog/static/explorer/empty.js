// Explains why a list has no events, and offers a way on.

import { listEvents } from "./api.js";
import { element } from "./elements.js";
import { formatMinute } from "./time.js";
import { dayAround, go, valuesOf, view } from "./view.js";
import * as welcome from "./welcome.js";

export async function explainEmptyList(box, signal, onFailure) {
  const findNewest = async (conditions) =>
    (await listEvents("", [...conditions, ["order", "newest"], ["limit", 1]], { signal })).events[0];
  if (!(await findNewest([]))) return welcome.show(signal, onFailure);
  const newest = await findNewest(view.filters);
  const text = newest
    ? `The newest matching event is from ${formatMinute(newest.date)}.`
    : `No event matches these filters at any time.${hintAtNumbers()}`;
  const [label, change] = newest
    ? ["Show that day", dayAround(Date.parse(newest.date))]
    : ["Remove the filters", { filters: [] }];
  box.replaceChildren(
    element("h2", {}, "No events here"),
    element("p", {}, text),
    element("button", { class: "primary", onclick: () => go(change) }, label),
  );
}

function hintAtNumbers() {
  const number = valuesOf("q").find((text) => /^-?[\d.]+$/.test(text));
  return number ? ` A search for text finds no numbers in data: write the member too, such as amount=${number}.` : "";
}
