import type { TandemError } from '../shared/errors.js';
import type { EventsRequest, LoggedEvent, TrackedEvent } from '../shared/generated.js';
import type { Attribution } from './check.js';
import type { LastSent } from './last-sent.js';
import type { OutgoingEvent, PersonalStorage } from './storage.js';

/** Maximum number of queued events; beyond it the oldest are dropped. */
export const QUEUE_LIMIT = 1_000;
/** Maximum number of events in a request. */
export const BATCH = 100;
/** How long an event waits for others to be sent with, in milliseconds. */
export const GATHER_MS = 2_000;
/**
 * Maximum number of bytes of the requests that outlive the page, together and each. Browsers
 * allow 64 KiB for all of them.
 */
export const LAST_BYTES = 60_000;
const LAST_BATCH_BYTES = 15_000;
/** No event is older than this package: such a time is that of a wrong clock. */
const EARLIEST = Date.UTC(2024, 0);
/** Shortest and longest pause after a failure, in milliseconds. */
const PAUSES = { first: 5_000, longest: 300_000 };
/** Number of refused events in a row after which their whole requests are dropped. */
const MOST_DROPPED = 8;
const PATH = '/v1/events';

/** What an outbox needs from the recommender. */
export interface OutboxHost {
  storage(): PersonalStorage;
  /** What pages sent as they were left; `null` if the storage ends with the page. */
  lastSent(): LastSent | null;
  /** The name under which events are logged now. */
  session(): string;
  /** Sends a body to a path of the server; rejects unless the server accepts it. */
  send(path: string, body: string, why: string): Promise<unknown>;
  /** The same with a request that outlives the page; `null` if there may be none now. */
  sendLast(path: string, body: string, why: string): Promise<unknown> | null;
  /** The server refused the events; see {@link Outbox}. */
  refused(error: TandemError): void;
}

/**
 * The queue of events for the server's log (`events: true`). Events are sent in their order as
 * soon as the server can be reached, and at once when the page is hidden or left. Each has an
 * id that is the same at every attempt, so that the server drops repeats.
 *
 * An event that the server will never accept is dropped, with an `error` event; the others of its
 * request are sent without it. If the server has no log, events are not queued any more. If it refuses the key, they stay in
 * the queue and are tried again. The page gets one `error` event for either.
 */
export class Outbox {
  readonly #host: OutboxHost;
  readonly #page: string;
  /** Events of this page that the server has not accepted; storages take too long to read. */
  readonly #waiting = new Map<string, OutgoingEvent>();
  /** Events in a request of the worker, which may end with the page. */
  readonly #inFlight = new Set<string>();
  /** Requests that outlive the page, and the ids and bytes of their events. */
  readonly #last = new Set<Promise<unknown>>();
  readonly #lastIds = new Set<string>();
  #lastBytes = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = 0;
  #closed = false;
  /** The visitor withdrew the consent. */
  #suspended = false;
  #reported = false;
  #number = 0;
  #newest = 0;
  #sending = false;
  /** Number of events of the next request. */
  #most = BATCH;
  /** Number of requests in a row that the server will never accept. */
  #dropped = 0;

  /** `page`: the beginning of all event ids of this page; random. */
  constructor(page: string, host: OutboxHost) {
    this.#host = host;
    this.#page = page;
  }

  /** Queues an event at once; resolves once it is stored. */
  async add(event: TrackedEvent, attribution: Attribution = {}): Promise<void> {
    if (this.#closed || this.#suspended) return;
    this.#number += 1;
    // The queue is ordered by time, and then by id: both increase.
    this.#newest = Math.max(this.#newest, Date.now());
    const id = `${this.#page}-${String(this.#number).padStart(6, '0')}`;
    const session = this.#host.session();
    const outgoing = { ...event, ...attribution, id, at: this.#newest, session };
    this.#waiting.set(id, outgoing);
    const [oldest] = this.#waiting.keys();
    if (this.#waiting.size > QUEUE_LIMIT && oldest !== undefined) this.#waiting.delete(oldest);
    const queued = quietly(() => this.#host.storage().queue([outgoing], QUEUE_LIMIT));
    this.#later(this.#pause === 0 ? GATHER_MS : this.#pause);
    await queued;
  }

  /** The newest event of this kind was undone: it is removed from the queue. */
  removeNewest({ type, item }: TrackedEvent): void {
    void quietly(async () => {
      const queued = await this.#host.storage().unsent(QUEUE_LIMIT);
      const newest = queued.filter((event) => event.type === type && event.item === item).at(-1);
      if (newest !== undefined) await this.#remove([newest.id]);
    });
  }

  /** Removes all events from the queue. */
  forget(): void {
    this.#waiting.clear();
    void quietly(async () => {
      const queued = await this.#host.storage().unsent(QUEUE_LIMIT);
      await this.#remove(queued.map(({ id }) => id));
    });
  }

  /** After a withdrawal of consent nothing is queued or sent until there is consent again. */
  suspend(suspended: boolean): void {
    this.#suspended = suspended;
    if (suspended) this.#waiting.clear();
  }

  /** The server can be reached again: sends the queue. */
  flush(): void {
    this.#pause = 0;
    this.#later(0);
  }

  /**
   * Sends what this page has queued with a request that outlives it. `left`: the page may end
   * now, and with it the requests of the worker, whose events are sent once more.
   */
  sendLast(left: boolean): void {
    // The server would refuse them again.
    if (this.#closed || this.#suspended || this.#reported) return;
    const events = [...this.#waiting.values()].filter(
      ({ id }) => !this.#lastIds.has(id) && (left || !this.#inFlight.has(id)),
    );
    for (const batch of batches(events, LAST_BATCH_BYTES)) {
      const body = this.#body(batch);
      const bytes = sizeOf(body);
      // The others stay in the queue.
      if (this.#lastBytes + bytes > LAST_BYTES) return;
      const why = `${batch.length} events for the log, as the page is being left`;
      const request = this.#host.sendLast(PATH, body, why);
      if (request === null) return;
      const ids = batch.map(({ id }) => id);
      for (const id of ids) this.#lastIds.add(id);
      this.#lastBytes += bytes;
      this.#host.lastSent()?.note(ids);
      const done = request
        // A failure is reported when the queue is sent, if the page stays.
        .then(
          () => quietly(() => this.#remove(ids)),
          () => undefined,
        )
        .then(() => {
          for (const id of ids) this.#lastIds.delete(id);
          this.#lastBytes -= bytes;
          this.#host.lastSent()?.settle(ids);
          this.#last.delete(done);
        });
      this.#last.add(done);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #later(ms: number): void {
    if (this.#closed) return;
    if (this.#timer !== undefined && ms > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#sending) return;
      this.#sending = true;
      void quietly(() => this.#sendAll()).then(() => {
        this.#sending = false;
      });
    }, ms);
  }

  async #sendAll(): Promise<void> {
    await Promise.all(this.#last);
    while (!this.#closed && !this.#suspended) {
      const held = this.#host.lastSent()?.held() ?? new Set();
      const queued = await this.#host.storage().unsent(QUEUE_LIMIT);
      const [events] = batches(queued.filter(({ id }) => !held.has(id)).slice(0, this.#most));
      if (events === undefined || this.#suspended) return;
      const ids = events.map(({ id }) => id);
      try {
        const why = `${events.length} events for the log`;
        for (const id of ids) this.#inFlight.add(id);
        await this.#host.send(PATH, this.#body(events), why);
      } catch (error) {
        const { code } = error as TandemError;
        if (code === 'not_found') {
          // The server has no log.
          this.close();
          await this.#remove(ids);
          this.#report(error as TandemError);
        } else if (refusedForGood.has(code)) {
          // The server accepts all events of a request or none: parts are tried, until the event
          // that it will never accept is alone.
          if (events.length > 1 && this.#dropped < MOST_DROPPED) {
            this.#most = Math.ceil(events.length / 2);
            continue;
          }
          this.#dropped += 1;
          if (this.#dropped >= MOST_DROPPED) this.#most = BATCH;
          await this.#remove(ids);
          this.#host.refused(error as TandemError);
          continue;
        } else {
          if (code === 'unauthorized') this.#report(error as TandemError);
          this.#pause = Math.min(Math.max(this.#pause * 2, PAUSES.first), PAUSES.longest);
          this.#later(this.#pause);
        }
        return;
      } finally {
        for (const id of ids) this.#inFlight.delete(id);
      }
      this.#pause = 0;
      this.#most = Math.min(this.#most * 2, BATCH);
      this.#dropped = 0;
      this.#reported = false;
      await this.#remove(ids);
    }
  }

  async #remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#waiting.delete(id);
    await this.#host.storage().unqueue(ids);
  }

  /** The body of a request with events of one session. */
  #body(events: readonly OutgoingEvent[]): string {
    const now = Date.now();
    const logged = events.map(
      ({ id, type, item, at, recommendation }): LoggedEvent => ({
        id,
        type,
        item,
        at: plausible(at, now),
        ...(recommendation === undefined ? {} : { recommendation }),
      }),
    );
    // Events of an older version of this package have no session.
    const request: EventsRequest = {
      session: events[0]?.session ?? this.#host.session(),
      events: logged,
    };
    return JSON.stringify(request);
  }

  /** Once, until events are accepted again. */
  #report(error: TandemError): void {
    if (!this.#reported) this.#host.refused(error);
    this.#reported = true;
  }
}

/** Divides events into requests, each with events of one session, of about `limit` bytes. */
function batches(
  events: readonly OutgoingEvent[],
  limit = Number.POSITIVE_INFINITY,
): OutgoingEvent[][] {
  const divided: OutgoingEvent[][] = [];
  let bytes = 0;
  for (const event of events) {
    const size = sizeOf(JSON.stringify(event));
    const last = divided.at(-1);
    const fits = last !== undefined && last.length < BATCH && bytes + size <= limit;
    if (fits && last[0]?.session === event.session) {
      last.push(event);
      bytes += size;
    } else {
      divided.push([event]);
      bytes = size;
    }
  }
  return divided;
}

const sizeOf = (text: string): number => new TextEncoder().encode(text).length;

/** The time of an event; that of sending if the clock was wrong at the event. */
function plausible(at: number, now: number): number {
  return at >= EARLIEST && at <= now ? at : now;
}

/** Codes of a server that does not accept the content of a request. */
const refusedForGood: ReadonlySet<string> = new Set([
  'bad_response',
  'invalid_request',
  'invalid_field',
  'payload_too_large',
]);

/** A failure of the storage is reported by the journal. */
async function quietly(job: () => Promise<void>): Promise<void> {
  await job().catch(() => undefined);
}
