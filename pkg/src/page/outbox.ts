import type { TandemError } from '../shared/errors.js';
import type { EventsRequest, TrackedEvent } from '../shared/generated.js';
import type { PersonalStorage } from './storage.js';

/** Maximum number of queued events; beyond it the oldest are dropped. */
export const QUEUE_LIMIT = 1_000;
/** Maximum number of events in a request. */
export const BATCH = 100;
/** How long an event waits for others to be sent with, in milliseconds. */
export const GATHER_MS = 2_000;
/** Shortest and longest pause after a failure, in milliseconds. */
const PAUSES = { first: 5_000, longest: 300_000 };

/** What an outbox needs from the recommender. */
export interface OutboxHost {
  storage(): PersonalStorage;
  /** Sends a body to a path of the server; rejects unless the server accepts it. */
  send(path: string, body: string, why: string): Promise<unknown>;
  /** The server refused the events; see {@link Outbox}. */
  refused(error: TandemError): void;
}

/**
 * The queue of events for the server's log (`events: true`). Events are sent in their order as
 * soon as the server can be reached. Each has an id that is the same at every attempt, so that
 * the server drops repeats.
 *
 * If the server has no log, events are not queued any more. If it refuses the key, they stay in
 * the queue and are tried again. The page gets one `error` event for either.
 */
export class Outbox {
  readonly #host: OutboxHost;
  readonly #session: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = 0;
  #closed = false;
  /** The visitor withdrew the consent. */
  #suspended = false;
  #reported = false;
  #number = 0;
  #sending = false;

  /** `session`: the id of this visit in the server's log; random. */
  constructor(session: string, host: OutboxHost) {
    this.#host = host;
    this.#session = session;
  }

  /** Queues an event; resolves once it is stored. */
  async add(event: TrackedEvent): Promise<void> {
    if (this.#closed || this.#suspended) return;
    this.#number += 1;
    const outgoing = { ...event, id: `${this.#session}-${this.#number}`, at: Date.now() };
    const queued = quietly(() => this.#host.storage().queue([outgoing], QUEUE_LIMIT));
    this.#later(this.#pause === 0 ? GATHER_MS : this.#pause);
    await queued;
  }

  /** The newest event of this kind was reverted: it is removed from the queue. */
  takeBack({ type, item }: TrackedEvent): void {
    void quietly(async () => {
      const storage = this.#host.storage();
      const queued = await storage.unsent(QUEUE_LIMIT);
      const newest = queued.filter((event) => event.type === type && event.item === item).at(-1);
      if (newest !== undefined) await storage.unqueue([newest.id]);
    });
  }

  /** Removes all events from the queue. */
  forget(): void {
    void quietly(async () => {
      const storage = this.#host.storage();
      const queued = await storage.unsent(QUEUE_LIMIT);
      await storage.unqueue(queued.map(({ id }) => id));
    });
  }

  /** After a withdrawal of consent nothing is queued or sent until there is consent again. */
  suspend(suspended: boolean): void {
    this.#suspended = suspended;
  }

  /** The server can be reached again: sends the queue. */
  flush(): void {
    this.#pause = 0;
    this.#later(0);
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
    while (!this.#closed && !this.#suspended) {
      const storage = this.#host.storage();
      const events = await storage.unsent(BATCH);
      if (events.length === 0 || this.#suspended) return;
      const ids = events.map(({ id }) => id);
      const request: EventsRequest = { session: this.#session, events };
      try {
        const why = `${events.length} events for the log`;
        await this.#host.send('/v1/events', JSON.stringify(request), why);
      } catch (error) {
        const { code } = error as TandemError;
        if (code === 'not_found') {
          // The server has no log.
          this.close();
          await storage.unqueue(ids);
          this.#report(error as TandemError);
        } else if (refusedForGood.has(code)) {
          // The server will not accept these events later; it may accept others.
          await storage.unqueue(ids);
          continue;
        } else {
          if (code === 'unauthorized') this.#report(error as TandemError);
          this.#pause = Math.min(Math.max(this.#pause * 2, PAUSES.first), PAUSES.longest);
          this.#later(this.#pause);
        }
        return;
      }
      this.#pause = 0;
      this.#reported = false;
      await storage.unqueue(ids);
    }
  }

  /** Once, until events are accepted again. */
  #report(error: TandemError): void {
    if (!this.#reported) this.#host.refused(error);
    this.#reported = true;
  }
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
