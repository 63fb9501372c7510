// The public API, asked with the key of this tab.

import { parse } from "./json.js";

const KEY = "bytelog.key";
const API = "api/v1/events"; // relative: the page may be anywhere below a prefix

export class Refused extends Error {
  constructor(status, detail, seconds) {
    super(detail);
    this.status = status;
    this.seconds = seconds;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

export function address(path, query) {
  const text = new URLSearchParams(query).toString();
  return `${API}${path}${text ? `?${text}` : ""}`;
}

export async function ask(path, query = [], { signal, accept = "application/json", as = key.get() } = {}) {
  const response = await fetch(address(path, query), {
    headers: { Authorization: `Bearer ${encode(as)}`, Accept: `${accept}, application/problem+json` },
    cache: "no-store",
    signal,
  }).catch((error) => {
    throw error.name === "AbortError" ? error : new Refused(0, "The server does not answer.");
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function list(path, query, options) {
  const response = await ask(path, query, options);
  const { events } = parse(await response.text());
  const link = /<\?([^>]*)>/.exec(response.headers.get("Link") ?? "");
  return { events, cursor: link && new URLSearchParams(link[1]).get("cursor") };
}

export async function count(path, query, options) {
  return (await ask(path, query, options)).json();
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const details = (problem.errors ?? []).map((it) => `${it.parameter ?? ""} ${it.detail}`.trim());
  const text = details.join(" ") || problem.detail || problem.error || response.statusText;
  return new Refused(response.status, text, Number(response.headers.get("Retry-After")) || 1);
}

// A header takes bytes, each as a character; a key may be any text.
function encode(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
