/**
 * bytelog's client for Node 20 and newer and for browsers, in a single file without dependencies.
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
const MAX_QUEUE_BYTES = 16 * 1024 * 1024; // events beyond this are dropped
const BATCH_DELAY_MILLISECONDS = 500; // how long the background waits for more events of a batch
const RETRY_MILLISECONDS = 10_000; // how long the background waits after it failed to send
const MAX_RETRY_AFTER_SECONDS = 60; // for a longer Retry-After, throw the error instead of waiting

// When a page is left, a browser keeps requests alive whose bodies are 64 KiB in all (Fetch
// standard, HTTP-network-or-cache fetch). Queued batches are smaller, to leave room for the last one.
const KEEPALIVE_BYTES = 64 * 1024;
const QUEUED_BATCH_BYTES = 30_000;
let keptAliveBytes = 0; // of all clients of the page

// Busy, or a proxy that cannot reach the server; 520 to 524 are Cloudflare's.
const TEMPORARY_STATUSES = [409, 429, 502, 503, 504, 520, 521, 522, 523, 524];

const FOREIGN =
  "is not a response of bytelog; check the URL, and proxies and login pages before it";

const encoder = new TextEncoder();

/** A request failed: `status` is the HTTP status, undefined if there was no response. */
export class BytelogError extends Error {
  constructor(message, { status, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    this.name = "BytelogError";
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed within a minute. */
  get isTemporary() {
    const isBusy = this.status === undefined || TEMPORARY_STATUSES.includes(this.status);
    return isBusy && this.retryAfter <= MAX_RETRY_AFTER_SECONDS;
  }
}

/** Records events and reads them. */
export class Client {
  #url;
  #headers;
  #timeout;
  #retries;
  #queue;

  constructor({
    url = readSetting("BYTELOG_URL"),
    key = readSetting("BYTELOG_API_KEY"),
    timeout = 10_000,
    retries = 5,
    background = false,
  } = {}) {
    this.#url = `${url.trim().replace(/\/+$/, "")}/api/v1/events`;
    this.#headers = {
      Authorization: formatAuthorization(key),
      Accept: "application/json, application/problem+json",
    };
    this.#timeout = timeout;
    this.#retries = retries;
    this.#queue = background ? new Queue((batch) => this.#post(batch, true)) : undefined;
  }

  async record(event) {
    if (this.#queue) this.#queue.put(event);
    else await this.#post(createBatch([JSON.stringify(event)]));
  }

  async recordMany(events) {
    if (this.#queue) {
      for (const event of events) this.#queue.put(event);
    } else {
      const batches = splitIntoBatches(encodeEvents(events), BATCH_BYTES);
      for (const batch of batches) await this.#post(batch);
    }
  }

  async *events(window) {
    let address = `${this.#url}?${formatQuery({ limit: PAGE_EVENTS, ...window })}`;
    while (address) {
      const { content, link } = await this.#send(address, { headers: this.#headers });
      const { events } = parseObject(content);
      if (!Array.isArray(events)) {
        throw new BytelogError(`200 without events ${FOREIGN}`, { status: 200 });
      }
      yield* events;
      // In order of arrival every page has a next one; an empty page is the last.
      const nextPage = events.length && link?.match(/<([^>]*)>; rel="next"/);
      address = nextPage && new URL(nextPage[1], address).href;
    }
  }

  trace(traceId) {
    return this.events({ trace_id: traceId });
  }

  async query(endpoint, parameters = {}) {
    const address = `${this.#url}/${endpoint}?${formatQuery(parameters)}`;
    const { content } = await this.#send(address, { headers: this.#headers });
    const answer = parseObject(content);
    if (!Object.keys(answer).length) {
      throw new BytelogError(`200 without an object ${FOREIGN}`, { status: 200 });
    }
    return answer;
  }

  get dropped() {
    return this.#queue?.dropped ?? 0;
  }

  async flush() {
    await this.#queue?.flush();
  }

  async close() {
    await this.#queue?.close();
  }

  async #post({ lines, key }, keepalive = false) {
    await this.#send(this.#url, {
      method: "POST",
      headers: { ...this.#headers, "Content-Type": "application/json", "Idempotency-Key": key },
      body: formatBody(lines),
      keepalive,
    });
  }

  async #send(address, request, attempt = 0) {
    try {
      return await this.#try(address, request);
    } catch (error) {
      if (attempt >= this.#retries || !error.isTemporary) throw error;
      // Full jitter spreads the retries of many clients.
      const jitter = Math.random() * Math.min(500 * 2 ** attempt, 30_000);
      await new Promise((resolve) => setTimeout(resolve, error.retryAfter * 1000 + jitter));
    }
    return this.#send(address, request, attempt + 1);
  }

  async #try(address, request) {
    let response, content;
    const size = request.keepalive ? countBytes(request.body) : 0;
    const keepalive = size > 0 && keptAliveBytes + size <= KEEPALIVE_BYTES;
    if (keepalive) keptAliveBytes += size;
    try {
      const signal = AbortSignal.timeout(this.#timeout);
      // A redirected POST becomes a GET, and its 200 would look like success.
      response = await fetch(address, { ...request, keepalive, signal, redirect: "manual" });
      content = await response.text();
    } catch (cause) {
      const reason = cause.cause?.message || cause.message;
      throw new BytelogError(`no response from ${this.#url}: ${reason}`, { cause });
    } finally {
      if (keepalive) keptAliveBytes -= size;
    }
    const isExpected =
      request.method === "POST"
        ? response.status === 201
        : response.status === 200 && readMediaType(response) === "application/json";
    if (isExpected) return { content, link: response.headers.get("Link") };
    const retryAfter = parseRetryAfter(response.headers.get("Retry-After") ?? "");
    throw new BytelogError(formatError(response, content), { status: response.status, retryAfter });
  }
}

/** A bounded queue of events that are sent in the background. */
class Queue {
  dropped = 0;
  #send;
  #lines = [];
  #batches = [];
  #size = 0;
  #count = 0; // of events that are queued or being sent
  #hasEnded = false;
  #sending = Promise.resolve();
  #timer;

  constructor(send) {
    this.#send = send;
    // Browsers fire one or both of these events, depending on how the page is left.
    const onVisibilityChange = () => isHidden() && this.#sendOnLeave();
    globalThis.document?.addEventListener("visibilitychange", onVisibilityChange);
    globalThis.window?.addEventListener("pagehide", () => this.#sendOnLeave());
    globalThis.process?.once?.("beforeExit", () => this.#flushInBackground());
    globalThis.process?.once?.("exit", () => this.#end());
  }

  put(event) {
    const line = this.#encode(event);
    if (!line) return;
    if (this.#size + countBytes(line) > MAX_QUEUE_BYTES) {
      this.dropped++;
      return;
    }
    this.#size += countBytes(line);
    this.#count++;
    this.#lines.push(line);
    if (this.#hasEnded) this.#end();
    if (isHidden()) this.#sendOnLeave();
    else this.#flushLater(BATCH_DELAY_MILLISECONDS);
  }

  // Callers do not wait for a queued event: an exception would end a Node process.
  #encode(event) {
    try {
      return JSON.stringify({ ...event, date: event.date ?? new Date() });
    } catch (error) {
      this.dropped++;
      console.warn(`bytelog: an event was dropped: ${error.message}`);
    }
  }

  flush() {
    const flush = () => this.#flush();
    this.#sending = this.#sending.then(flush, flush);
    return this.#sending;
  }

  async close() {
    try {
      await this.flush();
    } catch (error) {
      let batch;
      while ((batch = this.#takeBatch())) this.#drop(batch.lines, error);
    }
  }

  async #flush() {
    let batch;
    while ((batch = this.#takeBatch())) await this.#deliver(batch);
  }

  async #flushInBackground() {
    this.#timer = undefined;
    try {
      await this.flush();
    } catch (error) {
      console.warn(`bytelog: events remain queued: ${error.message}`);
      this.#flushLater(RETRY_MILLISECONDS);
      this.#timer.unref?.(); // does not keep Node running
    }
  }

  #flushLater(milliseconds) {
    this.#timer ??= setTimeout(() => this.#flushInBackground(), milliseconds);
  }

  // Start sending all that the browser keeps alive, without waiting, because the page may be gone
  // in a moment. If it is not, send the rest afterward.
  #sendOnLeave() {
    const deliveries = [];
    for (const batch of this.#batches.splice(0)) {
      const fits = keptAliveBytes + countBytes(formatBody(batch.lines)) <= KEEPALIVE_BYTES;
      if (fits) deliveries.push(this.#deliver(batch));
      else this.#batches.push(batch);
    }
    const last = this.#takeLines(KEEPALIVE_BYTES - keptAliveBytes);
    if (last.length) deliveries.push(this.#deliver(createBatch(last)));
    if (deliveries.length) Promise.allSettled(deliveries).then(() => this.#flushInBackground());
    else this.#flushLater(BATCH_DELAY_MILLISECONDS);
  }

  // Takes the queued events that fit into a number of bytes; one that does not blocks no others.
  #takeLines(bytes) {
    let room = bytes - 1; // a comma or a bracket after each, and a bracket before the first
    const taken = [];
    const left = [];
    for (const line of this.#lines) {
      const size = countBytes(line) + 1;
      const fits = size <= room && taken.length < BATCH_EVENTS;
      (fits ? taken : left).push(line);
      if (fits) room -= size;
    }
    this.#lines = left;
    return taken;
  }

  #takeBatch() {
    if (!this.#batches.length) {
      this.#batches = [...splitIntoBatches(this.#lines.splice(0), QUEUED_BATCH_BYTES)];
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
      this.#splitOrDrop(batch.lines, error);
      return;
    }
    this.#release(batch.lines);
  }

  // One invalid event fails its whole batch: halve the batch until that event is alone.
  #splitOrDrop(lines, error) {
    if (lines.length === 1) {
      this.#drop(lines, error);
      return;
    }
    const middle = lines.length >> 1;
    this.#batches.unshift(createBatch(lines.slice(0, middle)), createBatch(lines.slice(middle)));
  }

  #drop(lines, error) {
    this.dropped += lines.length;
    console.warn(`bytelog: ${lines.length} events dropped: ${error.message}`);
    this.#release(lines);
  }

  // Nothing can be sent after process.exit() or an uncaught exception: say what is lost.
  #end() {
    this.#hasEnded = true;
    if (!this.#count) return;
    console.warn(`bytelog: ${this.#count} events dropped: the process ended before they were sent`);
    this.dropped += this.#count;
    this.#count = 0;
  }

  #release(lines) {
    this.#count -= lines.length;
    for (const line of lines) this.#size -= countBytes(line);
  }
}

function* encodeEvents(events) {
  for (const event of events) yield JSON.stringify(event);
}

function* splitIntoBatches(lines, limit) {
  let batch = [];
  let size = 0;
  for (const line of lines) {
    if (batch.length && (batch.length === BATCH_EVENTS || size + countBytes(line) > limit)) {
      yield createBatch(batch);
      batch = [];
      size = 0;
    }
    batch.push(line);
    size += countBytes(line) + 1;
  }
  if (batch.length) yield createBatch(batch);
}

function createBatch(lines) {
  // crypto.randomUUID is missing on pages without HTTPS.
  const random = crypto.getRandomValues(new Uint8Array(16));
  return { lines, key: Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("") };
}

function formatQuery(parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value ?? []].flat()) {
      query.append(name, one instanceof Date ? one.toISOString() : one);
    }
  }
  return query;
}

function formatBody(lines) {
  return lines.length === 1 ? lines[0] : `[${lines.join()}]`;
}

function countBytes(text) {
  return encoder.encode(text).length;
}

function formatAuthorization(key) {
  if (/[\x00-\x1f\x7f]/.test(key.trim())) {
    throw new TypeError("The API key contains a line end or another control character.");
  }
  // fetch encodes headers in Latin-1, the server decodes keys from UTF-8.
  return `Bearer ${String.fromCharCode(...encoder.encode(key.trim()))}`;
}

function formatError(response, content) {
  if (response.ok) return `${response.status} ${readMediaType(response)} ${FOREIGN}`;
  // A gateway may have written it: every member is optional (RFC 9457 section 3.1).
  const { error, title, detail, errors } = parseObject(content);
  const fields = Array.isArray(errors) ? errors.map((field) => Object.values(Object(field))) : [];
  const details = fields.map((values) => values.join(" ")).join("; ") || detail;
  const summary = `${response.status} ${error || title || response.statusText}`;
  return details ? `${summary}: ${details}` : summary;
}

// The seconds of a Retry-After, a number or a date (RFC 9110 section 10.2.3).
function parseRetryAfter(value) {
  if (/^\d+$/.test(value)) return Number(value);
  return Math.max(0, (Date.parse(value) - Date.now()) / 1000) || 0;
}

function readMediaType(response) {
  const value = response.headers.get("Content-Type") ?? "";
  return value.split(";")[0].trim().toLowerCase();
}

function parseObject(content) {
  try {
    const value = JSON.parse(content);
    return typeof value === "object" && !Array.isArray(value) ? { ...value } : {};
  } catch {
    return {};
  }
}

function isHidden() {
  return globalThis.document?.visibilityState === "hidden";
}

function readSetting(name) {
  const value = globalThis.process?.env[name];
  if (!value) throw new TypeError(`Pass url and key to the client, or set ${name}.`);
  return value;
}
