// The page: signing in, and which part of it is shown.

import { Refused, key, list } from "./api.js";
import { byId, element, tell } from "./elements.js";
import * as events from "./events.js";
import * as filters from "./filters.js";
import * as paths from "./paths.js";
import * as share from "./share.js";
import { zone } from "./time.js";
import * as trace from "./trace.js";
import { addressOf, go, onChange, view } from "./view.js";
import * as times from "./window.js";

const screens = { events, trace, paths };

let shown = new AbortController();

async function show() {
  shown.abort();
  shown = new AbortController();
  const { signal } = shown;
  filters.show();
  times.show();
  byId("zone").textContent = zone.name();
  document.title = view.tab === "trace" ? `${view.trace} · bytelog` : "bytelog";
  for (const name of [...Object.keys(screens), "welcome"]) byId(name).hidden = name !== view.tab;
  for (const link of document.querySelectorAll("[data-view]")) {
    link.href = addressOf({ ...view, tab: link.dataset.view });
    if (link.dataset.view === (view.tab === "paths" ? "paths" : "events")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("filters").hidden = view.tab === "trace";
  byId("live").setAttribute("aria-checked", String(events.isLive()));
  if (!events.isLive()) byId("live").lastChild.textContent = "Live";
  const failure = (error) => signal.aborted || fail(error);
  await screens[view.tab].show(signal, failure).catch(failure);
}

function fail(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401 || error.status === 403) return signOut(reason(error));
  if (!(error instanceof Refused)) throw error;
  tell(error.message, 0);
  byId("notice").append(" ", element("button", { onclick: () => (tell(""), show()) }, "Try again"));
}

const reason = ({ status }) =>
  status === 401 ? "This key is unknown, expired or revoked." : "This key cannot read events.";

// Signing in and out

function signOut(text = "") {
  shown.abort();
  key.forget();
  byId("app").hidden = true;
  byId("sign-in").hidden = false;
  byId("sign-in").querySelector(".failure").textContent = text;
  byId("key").value = "";
  byId("key").focus();
}

async function signIn(event) {
  event.preventDefault();
  const failure = byId("sign-in").querySelector(".failure");
  const given = byId("key").value.trim();
  failure.textContent = "";
  try {
    await list("", [["order", "newest"], ["limit", 1]], { as: given });
  } catch (error) {
    failure.textContent = error.status === 401 || error.status === 403 ? reason(error) : error.message;
    byId("key").select();
    return;
  }
  key.set(given);
  enter();
}

function enter() {
  byId("key").value = "";
  byId("sign-in").hidden = true;
  byId("app").hidden = false;
  show();
}

byId("sign-in").firstElementChild.addEventListener("submit", signIn);
byId("sign-out").addEventListener("click", () => signOut());
byId("zone").addEventListener("click", () => {
  zone.toggle();
  show();
});
byId("live").addEventListener("click", () => events.setLive(!events.isLive()));
document.querySelector("header").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go({ tab: link.dataset.view });
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (view.tab === "trace") go({ tab: "events" });
  else if (events.close()) byId("list").focus();
});
filters.listen();
times.listen();
share.listen(fail);
onChange(show);
if (key.get()) enter();
