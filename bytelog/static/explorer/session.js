// Signing in and out.

import { fetchIdentity, key, listEvents } from "./api.js";
import { forgetColors } from "./colors.js";
import { byId } from "./elements.js";
import { isBlocked } from "./storage.js";
import { forgetViews } from "./view.js";

const form = byId("sign-in").firstElementChild;
const failure = form.querySelector(".failure");

let shownKey;

export const isRefusal = ({ status }) => status === 401 || status === 403;

const explain = ({ status }) =>
  status === 401 ? "This key is unknown, expired or revoked." : "This key cannot read events.";

// Calls `onEnter` now if there is a key, and otherwise when the reader has signed in.
export function listen(onEnter) {
  const enter = () => {
    shownKey = key.get();
    byId("key").value = "";
    byId("sign-in").hidden = true;
    byId("app").hidden = false;
    onEnter();
    showIdentity();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(enter);
  });
  byId("sign-out").addEventListener("click", signOut);
  // A browser may restore the page from memory, with what an earlier key could read.
  addEventListener("pageshow", (event) => event.persisted && checkKey());
  addEventListener("storage", checkKey); // another tab has signed out
  showFailure();
  byId("blocked").hidden = !isBlocked;
  byId("stay").parentElement.hidden = isBlocked;
  if (key.get()) enter();
}

async function showIdentity() {
  // Without it, the page works as well; a key that no longer works is noticed by the others.
  const { project, key: name } = await fetchIdentity().catch(() => ({}));
  if (project) byId("identity").textContent = `${project} · ${name}`;
}

async function signIn(enter) {
  const apiKey = byId("key").value.trim();
  failure.textContent = "";
  try {
    await listEvents("", [["order", "newest"], ["limit", 1]], { apiKey });
  } catch (error) {
    failure.textContent = isRefusal(error) ? explain(error) : error.message;
    byId("key").select();
    return;
  }
  key.set(apiKey, byId("stay").checked);
  enter();
}

// Signing out loads the page again, so that nothing that was read with the key is left: neither in
// the document nor in a module, nor in a response that is still to come.
function forgetKey() {
  key.forget();
  forgetColors();
  byId("app").hidden = true;
}

function signOut() {
  forgetKey();
  forgetViews(() => location.reload());
}

// Signs out because the key no longer works; the address stays, for the reader's next key.
export function leave(error) {
  forgetKey();
  history.replaceState({ ...history.state, failure: explain(error) }, "");
  location.reload();
}

function showFailure() {
  const { failure: text, ...state } = history.state ?? {};
  failure.textContent = text ?? "";
  if (text) history.replaceState(state, "");
}

function checkKey() {
  if (shownKey === (key.get() ?? undefined)) return;
  forgetColors();
  byId("app").remove();
  location.reload();
}
