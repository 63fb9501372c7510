/** An event as it comes back. */
export interface Event {
  /** A safe integer: JavaScript rounds what is beyond 2^53. */
  id: number;
  name: string;
  trace_id: string;
  /** Like `2021-07-04T13:34:56.000Z`. */
  date: string;
  data: Record<string, unknown>;
}

/** An event to record. */
export interface NewEvent {
  /** A safe integer, yours: it need not be unique. */
  id: number;
  name: string;
  trace_id: string;
  /** Now, unless given; without a zone it is UTC. */
  date?: Date | string;
  data?: Record<string, unknown>;
}

export interface Options {
  /** The server; BYTELOG_URL of the environment unless given. */
  url?: string;
  /** The API key; BYTELOG_API_KEY of the environment unless given. */
  key?: string;
  /** Milliseconds that an answer may take; 10,000 unless given. */
  timeout?: number;
  /** How often a server that is away or busy is asked again; 5 unless given. */
  retries?: number;
  /**
   * Queue events, and send them in batches: soon, when Node ends, and when a page is left.
   * `process.exit()` waits for nothing: call `flush()` before.
   */
  background?: boolean;
}

export interface Window {
  /** The first day, or moment. */
  start?: Date | string;
  /** The day, or moment, before which the window ends. */
  end?: Date | string;
  /** The API's other parameters: `name`, `order`, `"data.client_id"`. */
  [filter: string]: Date | string | number | undefined;
}

/** A request failed. */
export class BytelogError extends Error {
  /** The HTTP status; undefined if there was no answer. */
  readonly status?: number;
  /** Seconds that the server asked to wait. */
  readonly retryAfter: number;
  /** Whether the same request may succeed in a while. */
  readonly isTemporary: boolean;
}

/** Records events and reads them back. What fails is tried again; an event is stored once. */
export class Client {
  constructor(options?: Options);

  /** Record an event; it is stored when this resolves, or queued in the background. */
  record(event: NewEvent): Promise<void>;

  /** Record events, in batches of up to 1000, each of which is stored whole or not at all. */
  recordMany(events: Iterable<NewEvent>): Promise<void>;

  /** The events from `start` on and before `end`, page by page. */
  events(window?: Window): AsyncGenerator<Event, void, undefined>;

  /** The events of a trace. */
  trace(traceId: string): AsyncGenerator<Event, void, undefined>;

  /** How many events the background could not get stored. */
  readonly dropped: number;

  /**
   * Resolves when the background has sent what is queued. Rejects with a BytelogError if the
   * server cannot take it now: then it stays in the queue.
   */
  flush(): Promise<void>;
}
