/**
 * bytelog's client for Node 20 and newer and for browsers: this file alone, nothing to install.
 *
 *     import { Client } from "./bytelog.mjs";
 *
 *     const client = new Client({ url: "http://127.0.0.1:8000", key: "YOUR_API_KEY" });
 *     await client.record({ id: 5, name: "paypal_payment", trace_id: "03758690" });
 *     for await (const event of client.trace("03758690")) console.log(event.date, event.name);
 */

const BATCH_EVENTS = 1000;
const BATCH_BYTES = 1024 * 1024;
const PAGE_EVENTS = 1000;
const QUEUE_BYTES = 16 * 1024 * 1024; // what waits while the server is away
const GATHER_MILLISECONDS = 500; // how long events wait in the background for others
const PAUSE_MILLISECONDS = 10_000; // before the background tries again what failed
const LONGEST_WAIT_SECONDS = 60; // who is told to wait longer is told so instead

// A page that is left may have 64 KiB on their way: the batch being sent, and the last one.
const KEEPALIVE_BYTES = 30_000;

const encoder = new TextEncoder();

/** A request failed: `status` is the HTTP status, undefined if there was no answer. */
export class BytelogError extends Error {
  constructor(message, { status, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    this.name = "BytelogError";
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed in a while. */
  get isTemporary() {
    const isBusy = [undefined, 409, 429, 502, 503, 504].includes(this.status);
    return isBusy && this.retryAfter <= LONGEST_WAIT_SECONDS;
  }
}

/** Records events and reads them back. */
export class Client {
  #url;
  #headers;
  #timeout;
  #retries;
  #queue;

  constructor({
    url = setting("BYTELOG_URL"),
    key = setting("BYTELOG_API_KEY"),
    timeout = 10_000,
    retries = 5,
    background = false,
  } = {}) {
    this.#url = `${url.replace(/\/+$/, "")}/api/v1/events`;
    this.#headers = {
      Authorization: `Bearer ${key}`,
      Accept: "application/json, application/problem+json",
    };
    this.#timeout = timeout;
    this.#retries = retries;
    this.#queue = background ? new Queue((batch) => this.#post(batch, true)) : undefined;
  }

  async record(event) {
    if (this.#queue) this.#queue.put(event);
    else await this.#post(newBatch([JSON.stringify(event)]));
  }

  async recordMany(events) {
    if (this.#queue) {
      for (const event of events) this.#queue.put(event);
    } else {
      for (const batch of batchesOf(linesOf(events), BATCH_BYTES)) await this.#post(batch);
    }
  }

  async *events({ start, end, ...filters } = {}) {
    const query = new URLSearchParams({ limit: PAGE_EVENTS });
    for (const [name, value] of Object.entries({ start, end, ...filters })) {
      if (value !== undefined) query.set(name, value instanceof Date ? value.toISOString() : value);
    }
    let address = `${this.#url}?${query}`;
    while (address) {
      const { content, link } = await this.#send(address, { headers: this.#headers });
      const { events } = JSON.parse(content);
      yield* events;
      // In order of arrival there always is a next page, for those who wait for news.
      const following = events.length && link?.match(/<([^>]*)>; rel="next"/);
      address = following && new URL(following[1], address).href;
    }
  }

  trace(traceId) {
    return this.events({ trace_id: traceId });
  }

  get dropped() {
    return this.#queue?.dropped ?? 0;
  }

  async flush() {
    await this.#queue?.flush();
  }

  async #post({ lines, key }, keepalive = false) {
    const body = lines.length === 1 ? lines[0] : `[${lines.join()}]`;
    await this.#send(this.#url, {
      method: "POST",
      headers: { ...this.#headers, "Content-Type": "application/json", "Idempotency-Key": key },
      body,
      keepalive: keepalive && bytes(body) <= KEEPALIVE_BYTES,
    });
  }

  async #send(address, request, attempt = 0) {
    try {
      return await this.#try(address, request);
    } catch (error) {
      if (attempt >= this.#retries || !error.isTemporary) throw error;
      // With full jitter, so that many clients do not come back all at once.
      const jitter = Math.random() * Math.min(500 * 2 ** attempt, 30_000);
      await new Promise((go) => setTimeout(go, error.retryAfter * 1000 + jitter));
    }
    return this.#send(address, request, attempt + 1);
  }

  async #try(address, request) {
    let answer, content;
    try {
      const signal = AbortSignal.timeout(this.#timeout);
      // A redirected POST would arrive as a GET, and look as if its events were stored.
      answer = await fetch(address, { ...request, signal, redirect: "manual" });
      content = await answer.text();
    } catch (cause) {
      const reason = cause.cause?.message || cause.message;
      throw new BytelogError(`${this.#url} does not answer: ${reason}`, { cause });
    }
    if (answer.ok) return { content, link: answer.headers.get("Link") };
    const retryAfter = parseInt(answer.headers.get("Retry-After"), 10) || 0;
    throw new BytelogError(message(answer, content), { status: answer.status, retryAfter });
  }
}

/** Events on their way in the background, bounded. */
class Queue {
  dropped = 0;
  #send;
  #lines = [];
  #batches = [];
  #size = 0;
  #sending = Promise.resolve();
  #timer;

  constructor(send) {
    this.#send = send;
    // Browsers leave out one or the other, depending on how the page is left.
    globalThis.document?.addEventListener("visibilitychange", () => isHidden() && this.#leave());
    globalThis.window?.addEventListener("pagehide", () => this.#leave());
    globalThis.process?.once?.("beforeExit", () => this.#flushInTime());
  }

  put(event) {
    const line = JSON.stringify({ ...event, date: event.date ?? new Date() });
    if (this.#size + bytes(line) > QUEUE_BYTES) {
      this.dropped++;
      return;
    }
    this.#size += bytes(line);
    this.#lines.push(line);
    if (isHidden()) this.#leave();
    else this.#timer ??= setTimeout(() => this.#flushInTime(), GATHER_MILLISECONDS);
  }

  flush() {
    const flush = () => this.#flush();
    this.#sending = this.#sending.then(flush, flush);
    return this.#sending;
  }

  async #flush() {
    for (let batch = this.#take(); batch; batch = this.#take()) await this.#deliver(batch);
  }

  async #flushInTime() {
    this.#timer = undefined;
    try {
      await this.flush();
    } catch (error) {
      console.warn(`bytelog: events wait to be sent: ${error.message}`);
      this.#timer ??= setTimeout(() => this.#flushInTime(), PAUSE_MILLISECONDS);
      this.#timer.unref?.(); // Node may end meanwhile
    }
  }

  // The page may be gone at once, so this waits for nothing. If it stays, the rest follows.
  #leave() {
    const batch = this.#take();
    const rest = () => this.#flushInTime();
    if (batch) this.#deliver(batch).then(rest, rest);
  }

  #take() {
    if (!this.#batches.length) {
      this.#batches = [...batchesOf(this.#lines.splice(0), KEEPALIVE_BYTES)];
    }
    return this.#batches.shift();
  }

  async #deliver(batch) {
    try {
      await this.#send(batch);
    } catch (error) {
      if (![400, 413].includes(error.status)) {
        this.#batches.unshift(batch);
        throw error;
      }
      this.#narrowDown(batch.lines, error);
      return;
    }
    this.#forget(batch.lines);
  }

  // A batch is refused whole; its halves tell which event is bad, and the others get stored.
  #narrowDown(lines, error) {
    if (lines.length === 1) {
      this.dropped++;
      console.warn(`bytelog: an event was dropped: ${error.message}`);
      this.#forget(lines);
      return;
    }
    const middle = lines.length >> 1;
    this.#batches.unshift(newBatch(lines.slice(0, middle)), newBatch(lines.slice(middle)));
  }

  #forget(lines) {
    for (const line of lines) this.#size -= bytes(line);
  }
}

function* linesOf(events) {
  for (const event of events) yield JSON.stringify(event);
}

function* batchesOf(lines, limit) {
  let batch = [];
  let size = 0;
  for (const line of lines) {
    if (batch.length && (batch.length === BATCH_EVENTS || size + bytes(line) > limit)) {
      yield newBatch(batch);
      batch = [];
      size = 0;
    }
    batch.push(line);
    size += bytes(line) + 1;
  }
  if (batch.length) yield newBatch(batch);
}

function newBatch(lines) {
  // Not crypto.randomUUID, which pages without HTTPS do not have.
  const random = crypto.getRandomValues(new Uint8Array(16));
  return { lines, key: Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

function bytes(text) {
  return encoder.encode(text).length;
}

function message(answer, content) {
  if (!answer.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return `${answer.status} ${answer.statusText}`;
  }
  const { error, detail, errors } = JSON.parse(content);
  const details = errors?.map((it) => Object.values(it).join(" ")) ?? [detail];
  return `${answer.status} ${error}: ${details.join("; ")}`;
}

function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
}

function setting(name) {
  const value = globalThis.process?.env[name];
  if (!value) throw new TypeError(`Give the client a url and a key, or set ${name}.`);
  return value;
}
