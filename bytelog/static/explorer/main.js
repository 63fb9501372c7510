// The page: signs in and out, and shows the current view.

import { ApiError, key, listEvents } from "./api.js";
import { byId, element, notify } from "./elements.js";
import * as events from "./events.js";
import * as filters from "./filters.js";
import * as paths from "./paths.js";
import * as share from "./share.js";
import { isBlocked } from "./storage.js";
import { zone } from "./time.js";
import * as trace from "./trace.js";
import { buildAddress, forgetViews, go, onChange, unfixed, view } from "./view.js";
import * as windowFields from "./window.js";

const views = { events, trace, paths };

let showing = new AbortController();

async function show() {
  if (!key.get()) return; // signed out: the page is about to be loaded again
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  filters.show();
  windowFields.show();
  byId("zone").textContent = zone.name();
  document.title = view.tab === "trace" ? `${view.trace} · bytelog` : "bytelog";
  for (const name of [...Object.keys(views), "welcome"]) byId(name).hidden = name !== view.tab;
  for (const link of document.querySelectorAll("[data-view]")) {
    link.href = buildAddress({ ...view, tab: link.dataset.view });
    if (link.dataset.view === (view.tab === "paths" ? "paths" : "events")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("filters").hidden = view.tab === "trace";
  if (view.invalid.length) notify(`The address has no valid ${view.invalid.join(" and ")}: use a date such as 2021-07-04.`, 10);
  byId("live").setAttribute("aria-checked", String(events.isLive()));
  if (!events.isLive()) byId("live").lastChild.textContent = "Live";
  const onFailure = (error) => signal.aborted || fail(error);
  await views[view.tab].show(signal, onFailure).catch(onFailure);
}

function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401 || error.status === 403) return leave(explain(error));
  if (!(error instanceof ApiError)) throw error;
  notify(error.message, 0);
  byId("notice").append(" ", element("button", { onclick: () => (notify(""), show()) }, "Try again"));
}

const explain = ({ status }) =>
  status === 401 ? "This key is unknown, expired or revoked." : "This key cannot read events.";

// Signing in and out

// Signing out loads the page again, so that nothing that was read with the key is left: neither in
// the document nor in a module, nor in a response that is still to come.
function forgetKey() {
  showing.abort();
  key.forget();
  byId("app").hidden = true;
}

function signOut() {
  forgetKey();
  forgetViews(() => location.reload());
}

// Signs out because the key no longer works; the address stays, for the reader's next key.
function leave(text) {
  forgetKey();
  history.replaceState({ ...history.state, failure: text }, "");
  location.reload();
}

function showFailure() {
  const { failure, ...state } = history.state ?? {};
  byId("sign-in").querySelector(".failure").textContent = failure ?? "";
  if (failure) history.replaceState(state, "");
}

async function signIn(event) {
  event.preventDefault();
  const failure = byId("sign-in").querySelector(".failure");
  const apiKey = byId("key").value.trim();
  failure.textContent = "";
  try {
    await listEvents("", [["order", "newest"], ["limit", 1]], { apiKey });
  } catch (error) {
    failure.textContent = error.status === 401 || error.status === 403 ? explain(error) : error.message;
    byId("key").select();
    return;
  }
  key.set(apiKey);
  enter();
}

let shownKey;

function enter() {
  shownKey = key.get();
  byId("key").value = "";
  byId("sign-in").hidden = true;
  byId("app").hidden = false;
  show();
}

byId("sign-in").firstElementChild.addEventListener("submit", signIn);
byId("sign-out").addEventListener("click", signOut);
byId("zone").addEventListener("click", () => {
  zone.toggle();
  show();
});
byId("live").addEventListener("click", () => events.setLive(!events.isLive()));
document.querySelector("header").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view], .brand");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go(link.dataset.view ? { tab: link.dataset.view } : { tab: "events", ...unfixed, last: "24h", filters: new Map() });
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (view.tab === "trace") go({ tab: "events" });
  else if (events.close()) byId("list").focus();
});
filters.listen();
windowFields.listen();
share.listen(fail);
onChange(show);
// A browser may restore the page from memory, with what an earlier key could read.
addEventListener("pageshow", (event) => {
  if (!event.persisted || shownKey === (key.get() ?? undefined)) return;
  byId("app").remove();
  location.reload();
});
showFailure();
byId("blocked").hidden = !isBlocked;
if (key.get()) enter();
