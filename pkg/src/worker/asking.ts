import { toWire } from '../shared/errors.js';
import type { Update } from '../shared/update.js';
import type { Client } from './engine.js';

/** Shortest pause before the server is tried again, in milliseconds. */
const MIN_RETRY_MS = 250;
/** Longest pause that a timer can keep; one set to more would fire at once. */
const MAX_RETRY_MS = 2 ** 31 - 1;

/** What asking needs from the host around it. */
export interface AskingHost {
  /** Runs a job when it is its turn. */
  enter<T>(job: (client: Client) => T | Promise<T>): Promise<T>;
  /** A list came, or did not; `decided`: its decision is acted on. */
  answered(update: Update, decided: boolean): void;
  /** Time is up: decides anew and shows it. */
  retry(): Promise<unknown>;
  fault(error: unknown): void;
}

/** Asks the cloud for lists when decisions say so, one request at a time. */
export class Asking {
  readonly #host: AskingHost;
  /** Rises when a request is given up: its answer, if one still comes, is dropped. */
  #epoch = 0;
  #request: Promise<void> | null = null;
  /** Something happened since the request in flight was sent. */
  #eventsSinceRequest = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Why a list is wanted whatever the decision; `null` if none is. */
  #wanted: string | null = null;

  constructor(host: AskingHost) {
    this.#host = host;
  }

  /** An event is in the session. */
  noteEvent(): void {
    this.#eventsSinceRequest = true;
  }

  /** A list is wanted once the server may be asked, whatever the two models say. */
  want(why: string): void {
    this.#wanted = why;
  }

  /** Does what an update's decision asks for. */
  follow(update: Update): void {
    const { decision, connection } = update;
    if (decision.action === 'request') this.#ask(decision.reason);
    else if (this.#wanted !== null && mayAsk(update)) this.#ask(this.#wanted);
    else if (connection.state !== 'offline') this.#retryLater(update);
  }

  /** Gives up the request in flight, if there is one. */
  abort(end: () => void): void {
    if (this.#request === null) return;
    this.drop();
    end();
  }

  /** The answer of the request in flight, if there is one, is not waited for any more. */
  drop(): void {
    this.#epoch += 1;
    this.#request = null;
  }

  cancelRetry(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /**
   * Asks the server for a new list. Only the start of it takes a turn in the queue; clicks
   * go on while the answer is under way.
   */
  #ask(why: string): void {
    if (this.#request !== null || this.#retry !== undefined) return;
    const epoch = this.#epoch;
    const request = this.#askNow(epoch, why).catch((error: unknown) => {
      if (epoch === this.#epoch) this.#host.fault(error);
    });
    this.#request = request;
    void request.then(() => {
      if (this.#request === request) this.#request = null;
    });
  }

  async #askNow(epoch: number, why: string): Promise<void> {
    // The promise is wrapped: the queue would wait for a bare one.
    const asked = await this.#host.enter((client) => {
      // Given up while it waited for its turn.
      if (epoch !== this.#epoch) return null;
      this.#eventsSinceRequest = false;
      return { answer: client.requestCandidates(why) };
    });
    if (asked === null) return;
    const update = await asked.answer;
    if (epoch !== this.#epoch) return;
    this.#request = null;
    if (update.connection.state === 'online') this.#wanted = null;
    const followed = update.connection.state === 'online' && this.#eventsSinceRequest;
    this.#host.answered(update, followed);
    // A fresh list may still leave the two models apart: without a new event, asking again
    // would bring the same list.
    if (followed) this.follow(update);
    else if (update.connection.code !== 'catalogue_changed') this.#retryLater(update);
  }

  /**
   * Decides once more when time may have changed the decision. Not while a list is in use and
   * the server answers: the list must not change under the visitor without a click.
   */
  #retryLater({ connection, decision, items }: Update): void {
    if (connection.state === 'offline') return;
    if (connection.state !== 'failing' && items.length > 0 && this.#wanted === null) return;
    const wait = decision.waitMs ?? connection.retryInMs;
    // A budget that never fills up again is waited for in vain.
    if (wait === null || !Number.isFinite(wait)) return;
    if (this.#retry !== undefined || this.#request !== null) return;
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        this.#host.retry().catch((error: unknown) => this.#host.fault(toWire(error)));
      },
      Math.min(Math.max(wait, MIN_RETRY_MS), MAX_RETRY_MS),
    );
  }
}

/** Whether the server may be asked now, though the decision sees no reason to. */
function mayAsk({ connection, decision }: Update): boolean {
  return (
    connection.state !== 'offline' &&
    connection.retryInMs === null &&
    decision.code !== 'call_under_way' &&
    decision.code !== 'budget_spent'
  );
}
