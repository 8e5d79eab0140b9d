import { wireError } from '../shared/errors.js';
import type { ClientUpdate, Connection } from '../shared/generated.js';
import type { Client } from './engine.js';
import { ServerProbe } from './server-probe.js';

/** Shortest pause before a retry, in milliseconds. */
const MIN_RETRY_MS = 250;
/** Longest delay of a timer; a longer one would fire at once. */
const MAX_RETRY_MS = 2 ** 31 - 1;

/** What the requester needs from the host. */
export interface RequesterHost {
  /** Runs a job in the queue. */
  enter<T>(job: (client: Client) => T | Promise<T>): Promise<T>;
  /** A request has ended; `decided`: its decision is acted on. */
  answered(update: ClientUpdate, decided: boolean): void;
  /** A retry is due: decides again and shows the result. */
  retry(): Promise<unknown>;
  /** Whether the server can make lists, by a small request; may reject. */
  reachable(): Promise<boolean>;
  /** The server answered a probe or not: shows the connection, if `current()` is still true. */
  probed(reached: boolean, current: () => boolean): Promise<unknown>;
  fault(error: unknown): void;
}

/** Requests candidate lists when decisions ask for them, one request at a time. */
export class CandidateRequester {
  readonly #host: RequesterHost;
  /** Increases when a request is dropped: a later response to it is ignored. */
  #epoch = 0;
  #request: Promise<void> | null = null;
  /** There was an event since the request in flight was sent. */
  #eventsSinceRequest = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Why a list is wanted regardless of the decision; `null` if none is. */
  #wanted: string | null = null;
  /** The server refused the last request as invalid: the same one would be refused again. */
  #refused = false;
  /** The refusal that was reported last. */
  #reported: string | null = null;

  readonly #probe: ServerProbe;

  constructor(host: RequesterHost) {
    this.#host = host;
    this.#probe = new ServerProbe({
      ask: () => host.reachable(),
      probed: (reached, current) => {
        host.probed(reached, current).catch((error: unknown) => host.fault(error));
      },
    });
  }

  /** The connection with the time of the next probe, if it is a probe that is next. */
  connection(connection: Connection): Connection {
    if (connection.state !== 'failing' || connection.retryInMs !== null) return connection;
    return { ...connection, retryInMs: this.#probe.inMs };
  }

  /** Resolves when the request in flight has ended; `null` without one. */
  get pending(): Promise<void> | null {
    return this.#request;
  }

  /** The session has a new event. */
  noteEvent(): void {
    this.#eventsSinceRequest = true;
    this.#refused = false;
  }

  /** A list is wanted as soon as the server may be called, regardless of the decision. */
  want(why: string): void {
    this.#wanted = why;
    this.#refused = false;
    this.#reported = null;
  }

  /** Acts on the decision of an update. */
  follow(update: ClientUpdate): void {
    const { decision, connection } = update;
    if (connection.state === 'online') this.#probe.succeeded();
    if (this.#refused) return;
    if (decision.action === 'request') this.#start(decision.reason);
    else if (this.#wanted !== null && mayCall(update)) this.#start(this.#wanted);
    else if (connection.state !== 'offline') this.#retryLater(update);
  }

  /** Drops the request in flight, if there is one, and calls `end` to abort it. */
  abort(end: () => void): void {
    if (this.#request === null) return;
    this.drop();
    end();
  }

  /** Ignores the response of the request in flight, if there is one. */
  drop(): void {
    this.#epoch += 1;
    this.#request = null;
  }

  /** Forgets a retry that is due later, and a refusal: the session or the network changed. */
  cancelRetry(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#refused = false;
    this.#probe.stop();
  }

  /**
   * Starts a request. Only its start takes a turn in the queue; clicks are processed while
   * the response is pending.
   */
  #start(why: string): void {
    if (this.#request !== null || this.#retry !== undefined) return;
    this.#probe.stop();
    const epoch = this.#epoch;
    const request = this.#send(epoch, why).catch((error: unknown) => {
      if (epoch === this.#epoch) this.#host.fault(error);
    });
    this.#request = request;
    void request.then(() => {
      if (this.#request === request) this.#request = null;
    });
  }

  async #send(epoch: number, why: string): Promise<void> {
    // The promise is wrapped in an object, because the queue would wait for a bare one.
    const sent = await this.#host.enter((client) => {
      // Dropped while it waited for its turn.
      if (epoch !== this.#epoch) return null;
      this.#eventsSinceRequest = false;
      return { answer: client.requestCandidates(why) };
    });
    if (sent === null) return;
    const update = await sent.answer;
    if (epoch !== this.#epoch) return;
    this.#request = null;
    if (update.connection.state === 'online') {
      this.#wanted = null;
      this.#reported = null;
      this.#probe.succeeded();
    }
    this.#noteRefusal(update.connection);
    const followed = update.connection.state === 'online' && this.#eventsSinceRequest;
    this.#host.answered(update, followed);
    // The two models may disagree about a new list as well. Without a new event, another
    // request would return the same list.
    if (followed) this.follow(update);
    else if (update.connection.code !== 'catalogue_changed') this.#retryLater(update);
  }

  /** A request that the server refuses as invalid is not repeated, and is reported once. */
  #noteRefusal({ code, message }: Connection): void {
    if (code !== 'invalid_field' && code !== 'invalid_request') return;
    this.#refused = true;
    this.#wanted = null;
    const text = message ?? 'the server refused the request for a list';
    if (text !== this.#reported) this.#host.fault(wireError(code, text));
    this.#reported = text;
  }

  /**
   * Decides again when time may have changed the decision. Not while a list is in use and the
   * server answers: the list must not change without a click. If no time is known, because no
   * list is wanted or the budget is not refilled by time, a probe finds out when a failing server
   * answers again.
   */
  #retryLater({ connection, decision, items }: ClientUpdate): void {
    if (connection.state === 'offline' || this.#refused) return;
    if (connection.state !== 'failing' && items.length > 0 && this.#wanted === null) return;
    if (this.#retry !== undefined || this.#request !== null) return;
    const { code, retryInMs, state } = connection;
    if (retryInMs !== null) this.#probe.notePause(retryInMs);
    const wait = decision.waitMs ?? retryInMs;
    // A budget that is never refilled has an infinite wait.
    if (wait === null || !Number.isFinite(wait)) {
      if (state === 'failing' && !ANSWERED.has(code)) this.#probe.start();
      return;
    }
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        this.#host.retry().catch((error: unknown) => this.#host.fault(error));
      },
      Math.min(Math.max(wait, MIN_RETRY_MS), MAX_RETRY_MS),
    );
  }
}

/** Codes of a server that answers, but not with a list: a probe would hide the failure. */
const ANSWERED: ReadonlySet<string | null> = new Set([
  'invalid_field',
  'invalid_request',
  'catalogue_changed',
]);

/** Whether the server may be called now, although the decision is to keep the list. */
function mayCall({ connection, decision }: ClientUpdate): boolean {
  return (
    connection.state !== 'offline' &&
    connection.retryInMs === null &&
    decision.code !== 'call_under_way' &&
    decision.code !== 'budget_spent'
  );
}
