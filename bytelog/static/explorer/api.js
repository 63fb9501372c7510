// Requests to the public API, with the API key of the reader.

import { entriesOf, parse, parseCounts } from "./json.js";
import { browser, tab } from "./storage.js";

const KEY = "bytelog.key";
const API = "api/v1/events"; // relative: the page may be served below a prefix

export class ApiError extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status; // 0 if there was no response
    this.retryAfter = retryAfter; // seconds
  }
}

export const key = {
  get: () => tab.getItem(KEY) ?? browser.getItem(KEY),
  set: (text, isKept) => (isKept ? browser : tab).setItem(KEY, text),
  forget: () => [tab, browser].forEach((storage) => storage.removeItem(KEY)),
};

export function buildUrl(path, query) {
  const text = new URLSearchParams(query).toString();
  return `${API}${path}${text ? `?${text}` : ""}`;
}

export const request = (path, query = [], options) => send(buildUrl(path, query), options);

async function send(url, { signal, accept = "application/json", apiKey = key.get() } = {}) {
  const response = await fetch(url, {
    // Without a key, a sign-on proxy in front of the server may name the reader.
    headers: { ...(apiKey !== null && { Authorization: `Bearer ${encode(apiKey)}` }), Accept: `${accept}, application/problem+json` },
    cache: "no-store",
    signal,
  }).catch(rethrow);
  if (!response.ok) throw await readError(response);
  return response;
}

const readText = async (path, query, options) => (await request(path, query, options)).text().catch(rethrow);

// A connection may fail before a response, or in the middle of it.
function rethrow(error) {
  throw error.name === "AbortError" ? error : new ApiError(0, "The server does not respond.");
}

export async function listEvents(path, query, options) {
  const response = await request(path, query, options);
  const { events } = parse(await response.text().catch(rethrow));
  return { events, cursor: readCursor(response) };
}

function readCursor(response) {
  const link = /<\?([^>]*)>/.exec(response.headers.get("Link") ?? "");
  return link && new URLSearchParams(link[1]).get("cursor");
}

// Returns a summary in which `names` are pairs of a name and a count, the most frequent first.
export async function fetchSummary(query, options) {
  const { count, names, buckets } = parseCounts(await readText("/summary", query, options));
  return {
    count,
    names: entriesOf(names),
    buckets: buckets.map((bucket) => ({ date: bucket.date, names: entriesOf(bucket.names) })),
  };
}

export async function fetchPaths(query, options) {
  return JSON.parse(await readText("/paths", query, options));
}

// Returns groups of a summary; a number that JavaScript would change keeps its text.
export const fetchGroups = async (query, options) => parse(await readText("/summary", query, options));

export async function fetchTraces(query, options) {
  const response = await request("/traces", query, options);
  const { traces } = JSON.parse(await response.text().catch(rethrow));
  return { traces, cursor: readCursor(response) };
}

// Returns the names of the key, or of the user, and of the project.
export const fetchIdentity = async () => JSON.parse(await (await send("api/v1/key")).text());

export const fetchFunnel = async (query, options) => JSON.parse(await readText("/funnel", query, options));

// Returns names with their counts, and their members as pairs of a name and the kinds of its values.
export async function fetchNames(query, options) {
  const { names } = parseCounts(await readText("/names", query, options));
  return names.map((name) => ({ ...name, members: entriesOf(name.members) }));
}

async function readError(response) {
  const problem = await response.json().catch(() => ({}));
  const details = (problem.errors ?? []).map(({ parameter, detail }) => `${parameter ?? ""} ${detail}`.trim());
  const text = details.join(" ") || problem.detail || problem.error || response.statusText;
  return new ApiError(response.status, text, Number(response.headers.get("Retry-After")) || 1);
}

// A header holds one byte per character, but a key may be any text: send its bytes in UTF-8.
function encode(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
