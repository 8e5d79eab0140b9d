import type { TandemError } from '../shared/errors.js';
import type { TrackedEvent } from '../shared/update.js';
import type { OutgoingEvent, PersonalStorage } from './storage.js';

/** So many events wait at most; of more the oldest are dropped. */
export const QUEUE_LIMIT = 1_000;
/** So many go in one request. */
export const BATCH = 100;
/** How long an event may wait for others to go with it, in milliseconds. */
export const GATHER_MS = 2_000;
/** First and longest pause after a failure, in milliseconds. */
const PAUSES = { first: 5_000, longest: 300_000 };

/** What an outbox needs around it. */
export interface OutboxHost {
  storage(): PersonalStorage;
  /** Sends a body to a path of the server; rejects unless the server takes it. */
  send(path: string, body: string, why: string): Promise<unknown>;
  /** Events are not sent any more: the server takes none. */
  refused(error: TandemError): void;
}

/**
 * Events on their way to the server, where the page wished that (`events: true`). They wait
 * until it can be reached, and go out in the order in which they happened. Each has a name
 * that is the same at every attempt, by which the reader of the log drops repeats.
 */
export class Outbox {
  readonly #host: OutboxHost;
  readonly #session: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = 0;
  #closed = false;
  #number = 0;
  #sending = false;

  /** `session` stands for this visit in the server's log; a random name. */
  constructor(session: string, host: OutboxHost) {
    this.#session = session;
    this.#host = host;
  }

  /** Queues an event; resolves once it is where the session is kept. */
  async add(event: TrackedEvent): Promise<void> {
    if (this.#closed) return;
    this.#number += 1;
    const outgoing = { ...event, id: `${this.#session}-${this.#number}`, at: Date.now() };
    const queued = quietly(() => this.#host.storage().queue([outgoing], QUEUE_LIMIT));
    this.#later(this.#pause === 0 ? GATHER_MS : this.#pause);
    await queued;
  }

  /** The newest such event was taken back: it is not sent, if it was not yet. */
  takeBack({ type, item }: TrackedEvent): void {
    void quietly(async () => {
      const storage = this.#host.storage();
      const waiting = await storage.unsent(QUEUE_LIMIT);
      const newest = waiting.filter((event) => event.type === type && event.item === item).at(-1);
      if (newest !== undefined) await storage.unqueue([newest.id]);
    });
  }

  /** The visitor is forgotten: what waits is not sent. */
  forget(): void {
    void quietly(async () => {
      const storage = this.#host.storage();
      const waiting = await storage.unsent(QUEUE_LIMIT);
      await storage.unqueue(waiting.map(({ id }) => id));
    });
  }

  /** The server can be reached again: what waits goes out. */
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
    while (!this.#closed) {
      const storage = this.#host.storage();
      const events: OutgoingEvent[] = await storage.unsent(BATCH);
      if (events.length === 0) return;
      const ids = events.map(({ id }) => id);
      try {
        const body = JSON.stringify({ session: this.#session, events });
        await this.#host.send('/v1/events', body, `${events.length} events for the log`);
      } catch (error) {
        const { code } = error as TandemError;
        if (code === 'not_found') {
          // The server keeps no log: nothing is queued for it any more.
          this.close();
          await storage.unqueue(ids);
          this.#host.refused(error as TandemError);
        } else if (code === 'bad_response') {
          // It will not take these another time; others it may.
          await storage.unqueue(ids);
          continue;
        } else {
          this.#pause = Math.min(Math.max(this.#pause * 2, PAUSES.first), PAUSES.longest);
          this.#later(this.#pause);
        }
        return;
      }
      this.#pause = 0;
      await storage.unqueue(ids);
    }
  }
}

/** A storage that fails is told by its keeper. */
async function quietly(job: () => Promise<void>): Promise<void> {
  await job().catch(() => undefined);
}
