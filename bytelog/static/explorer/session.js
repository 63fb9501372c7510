// Signing in and out.

import { fetchIdentity, key, listEvents } from "./api.js";
import { forgetColors } from "./colors.js";
import { byId } from "./elements.js";
import { isBlocked } from "./storage.js";
import { forgetViews } from "./view.js";

const form = byId("sign-in").firstElementChild;
const failure = form.querySelector(".failure");

let shownKey;
let isUser = false; // signed in by a sign-on proxy, without a key

export const isSignedIn = () => isUser || Boolean(key.get());

export const isRefusal = ({ status }) => status === 401 || status === 403;

const REFUSALS = { 401: "This key is unknown, expired or revoked.", 403: "This key cannot read events." };
const ENDED = "Your session has ended. Load the page again, or sign in with a key.";

const explain = ({ status }) => (isUser ? ENDED : REFUSALS[status]);

// Calls `onEnter` now if there is a key, and otherwise when the reader has signed in.
export function listen(onEnter) {
  const enter = () => {
    shownKey = key.get() ?? undefined;
    byId("key").value = "";
    byId("sign-in").hidden = true;
    byId("app").hidden = false;
    onEnter();
    if (!isUser) fetchIdentity().then(showIdentity, () => {}); // the page works without it
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signIn(enter);
  });
  byId("sign-out").addEventListener("click", signOut);
  // A browser may restore the page from memory, with what an earlier key could read.
  addEventListener("pageshow", (event) => event.persisted && (isUser ? location.reload() : checkKey()));
  addEventListener("storage", checkKey); // another tab has signed out
  const { wantsKey } = takeState();
  byId("blocked").hidden = !isBlocked;
  byId("stay").parentElement.hidden = isBlocked;
  if (key.get()) enter();
  else if (form.dataset.signOn !== undefined && !wantsKey) enterAsUser(enter);
  else showForm();
}

// The form is disabled until it works.
function showForm() {
  byId("sign-in").hidden = false;
  for (const control of form.elements) control.disabled = false;
  byId("key").focus();
}

// Enters without a key if a sign-on proxy names the reader.
async function enterAsUser(enter) {
  byId("sign-in").hidden = true;
  const identity = await fetchIdentity().catch(() => undefined);
  if (!identity) return showForm();
  isUser = true;
  byId("sign-out").textContent = "Use a key";
  showIdentity(identity);
  enter();
}

function showIdentity({ project, key: name }) {
  byId("identity").textContent = `${project} · ${name}`;
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
  isUser = false;
  forgetColors();
  byId("app").hidden = true;
}

// A user of the sign-on proxy cannot sign out here, but sign in with a key.
function signOut() {
  const state = isUser ? { wantsKey: true } : null;
  forgetKey();
  forgetViews(() => {
    history.replaceState(state, "");
    location.reload();
  });
}

// Signs out because the key no longer works; the address stays, for the reader's next key.
export function leave(error) {
  const text = explain(error);
  forgetKey();
  history.replaceState({ ...history.state, failure: text }, "");
  location.reload();
}

// Shows why the reader was signed out, and removes what the page before has left in the history.
function takeState() {
  const { failure: text, wantsKey, ...state } = history.state ?? {};
  failure.textContent = text ?? "";
  if (text || wantsKey) history.replaceState(state, "");
  return { wantsKey };
}

function checkKey() {
  if (shownKey === (key.get() ?? undefined)) return;
  forgetColors();
  byId("app").remove();
  location.reload();
}
