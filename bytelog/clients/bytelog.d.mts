/** An event as the server returns it. */
export interface Event {
  /** A safe integer: JavaScript rounds integers beyond 2^53. */
  id: number;
  name: string;
  trace_id: string;
  /** Looks like `2021-07-04T13:34:56.000Z`. */
  date: string;
  data: Record<string, unknown>;
}

/** An event to record. */
export interface NewEvent {
  /** A safe integer of your choice; it need not be unique. */
  id: number;
  name: string;
  trace_id: string;
  /** Defaults to the current time; without a time zone it is UTC. */
  date?: Date | string;
  data?: Record<string, unknown>;
}

export interface Options {
  /** The server; defaults to the environment variable BYTELOG_URL. */
  url?: string;
  /** The API key; defaults to the environment variable BYTELOG_API_KEY. */
  key?: string;
  /** How many milliseconds to wait for a response; 10,000 by default. */
  timeout?: number;
  /** How often to retry if the server is unavailable or busy; 5 by default. */
  retries?: number;
  /**
   * Queue events and send them in batches: after a short delay, at the end of the Node process, and
   * when the page is left. `process.exit()` and an uncaught exception do not wait for them: a
   * warning names the number of events dropped. Call `flush()` before `process.exit()`. SIGTERM
   * without a handler drops them silently; write
   * `process.once("SIGTERM", () => client.flush().finally(() => process.exit(143)));`.
   */
  background?: boolean;
}

export interface Window {
  /** Where the window starts: a day or a timestamp; included. */
  start?: Date | string;
  /** Where the window ends: a day or a timestamp; not included. */
  end?: Date | string;
  /** The other parameters of the API: `name`, `order`, `"data.client_id"`; an array gives one several times. */
  [filter: string]: Date | string | number | readonly (string | number)[] | undefined;
}

/** An endpoint that answers with one object. */
export type Endpoint = "summary" | "names" | "paths" | "paths/diff" | "traces" | "funnel";

/** A request failed. */
export class BytelogError extends Error {
  /** The HTTP status; undefined if there was no response. */
  readonly status?: number;
  /** How many seconds the server asked to wait. */
  readonly retryAfter: number;
  /** Whether the same request may succeed within a minute. */
  readonly isTemporary: boolean;
}

/** Records events and reads them. Retries temporary failures; an event is stored only once. */
export class Client {
  constructor(options?: Options);

  /** Record an event; it is stored when this resolves, or only queued with `background`. */
  record(event: NewEvent): Promise<void>;

  /** Record events in batches of up to 1000; each is stored as a whole or not at all. */
  recordMany(events: Iterable<NewEvent>): Promise<void>;

  /** Yield the events from `start` up to but not including `end`, page by page. */
  events(window?: Window): AsyncGenerator<Event, void, undefined>;

  /** Yield the events of a trace. */
  trace(traceId: string): AsyncGenerator<Event, void, undefined>;

  /**
   * Resolve to the answer of an endpoint. The parameters are those of the API:
   * `{ step: ["visit", "order"], within: 3600 }`.
   */
  query(endpoint: Endpoint, parameters?: Window): Promise<Record<string, any>>;

  /** The number of events that the background failed to store. */
  readonly dropped: number;

  /**
   * Send all queued events. Rejects with a BytelogError if the server cannot accept them now; they
   * remain queued.
   */
  flush(): Promise<void>;

  /** Send all queued events and drop those that fail. */
  close(): Promise<void>;
}
