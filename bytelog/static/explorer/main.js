// The page: shows the current view.

import { byId, element, notify } from "./elements.js";
import * as events from "./events.js";
import * as failures from "./failures.js";
import * as filters from "./filters.js";
import * as funnel from "./funnel.js";
import * as keyboard from "./keyboard.js";
import * as paths from "./paths.js";
import * as session from "./session.js";
import * as share from "./share.js";
import { zone } from "./time.js";
import * as trace from "./trace.js";
import * as traces from "./traces.js";
import { TABS, buildAddress, getWindow, go, isReversed, isSamePage, onChange, unfixed, view } from "./view.js";
import * as windowFields from "./window.js";

const views = { events, trace, traces, paths, funnel };

let showing = new AbortController();

async function show() {
  if (!session.isSignedIn()) return; // signed out: the page is about to be loaded again
  failures.stopRetrying();
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  showFrame();
  const onFailure = (error, again) => signal.aborted || failures.fail(error, again);
  try {
    if (isReversed()) return showReversed();
    await views[view.tab].show(signal, onFailure);
    if (!signal.aborted) failures.recover();
  } catch (error) {
    onFailure(error);
  }
}

function showFrame() {
  filters.show();
  windowFields.show();
  byId("zone").textContent = zone.name();
  document.title = view.tab === "trace" ? `${view.trace} · bytelog` : "bytelog";
  for (const name of [...Object.keys(views), "welcome", "reversed"]) byId(name).hidden = name !== view.tab;
  const tab = TABS.includes(view.tab) ? view.tab : (view.origin ?? "events");
  for (const link of document.querySelectorAll("[data-view]")) {
    link.href = buildAddress({ ...view, tab: link.dataset.view, event: "" });
    if (link.dataset.view === tab) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("filters").hidden = view.tab === "trace";
  if (view.problems.length) notify(view.problems.join(" "), 0);
  byId("live").setAttribute("aria-checked", String(events.isLive()));
  if (!events.isLive()) byId("live").lastChild.textContent = "Live";
}

function showReversed() {
  byId(view.tab).hidden = true;
  const { start, end } = getWindow();
  const swap = () => go({ start: end, end: start });
  byId("reversed").hidden = false;
  byId("reversed").replaceChildren(
    element("h2", {}, "The end is before the start"),
    element("p", {}, "No event can be in this window."),
    element("button", { class: "primary", onclick: swap }, "Swap the two dates"),
  );
}

function goToLink(event) {
  const link = event.target.closest("a[data-view], .brand");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go(link.dataset.view ? { tab: link.dataset.view } : { tab: "events", ...unfixed, last: "24h", filters: [] });
}

// The reader went back or forward, or the page changed its address.
async function onMove(previous) {
  if (!previous || !isSamePage(previous, view) || !views[view.tab].update) return show();
  try {
    await views[view.tab].update();
  } catch (error) {
    failures.fail(error);
  }
}

byId("zone").addEventListener("click", () => {
  zone.toggle();
  show();
});
byId("live").addEventListener("click", () => events.setLive(!events.isLive()));
document.querySelector("header").addEventListener("click", goToLink);
filters.listen();
windowFields.listen();
share.listen(failures.fail);
failures.listen(show);
keyboard.listen(views);
onChange(onMove);
session.listen(show);
