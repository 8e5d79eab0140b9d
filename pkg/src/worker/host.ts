import { toWire } from '../shared/errors.js';
import type { Command, Results, ToPage, ToWorker } from '../shared/messages.js';
import type { Update, UpdateCause } from '../shared/update.js';
import type { Client, EngineLoader } from './engine.js';
import { JobQueue } from './queue.js';

/** Where the host's messages go: a worker's global scope, or a test's port. */
export interface Port {
  postMessage(message: ToPage, transfer?: ArrayBuffer[]): void;
}

/** Shortest pause before the server is tried again, in milliseconds. */
const MIN_RETRY_MS = 250;
/** Longest pause that a timer can keep; one set to more would fire at once. */
const MAX_RETRY_MS = 2 ** 31 - 1;

/**
 * The worker's side of a recommender: owns the one client, enters it one call at a time,
 * asks the server when a decision says so, and learns when the page has painted.
 */
export class Host {
  readonly #port: Port;
  readonly #load: EngineLoader;
  readonly #queue = new JobQueue();
  #client: Client | null = null;
  /** Number of the last update sent, and of the last one seen on the screen. */
  #sent = 0;
  #painted = 0;
  /** A click has not been learnt from yet. */
  #learningOwed = false;
  /** Rises when a request is given up: its answer, if one still comes, is dropped. */
  #epoch = 0;
  #request: Promise<void> | null = null;
  /** Something happened since the request in flight was sent. */
  #eventsSinceRequest = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(port: Port, load: EngineLoader) {
    this.#port = port;
    this.#load = load;
  }

  /** Takes a message of the page; never throws. */
  receive(message: ToWorker): void {
    switch (message.kind) {
      case 'call':
        void this.#answer(message.id, message.command);
        break;
      case 'painted':
        this.#painted = Math.max(this.#painted, message.sequence);
        this.#learnAfterPaint();
        break;
    }
  }

  async #answer(id: number, command: Command): Promise<void> {
    try {
      const value = await this.#carryOut(command);
      const transfer = value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : [];
      this.#port.postMessage({ kind: 'result', id, value }, transfer);
    } catch (error) {
      this.#port.postMessage({ kind: 'failure', id, error: toWire(error) });
    }
  }

  #carryOut(command: Command): Promise<Results[keyof Results]> {
    switch (command.type) {
      case 'open':
        return this.#queue.run(async () => {
          const { client, device, fallback } = await this.#load(command.settings, (progress) =>
            this.#port.postMessage({ kind: 'progress', progress }),
          );
          this.#client = client;
          return { device, fallback, update: await client.recommend() };
        });
      case 'track':
        return this.#enter(async (client) => {
          const update = await client.track(command.event);
          this.#eventsSinceRequest = true;
          if (command.event.type === 'click' || command.event.type === 'purchase') {
            this.#learningOwed = true;
          }
          return this.#publish('event', update);
        });
      case 'recommend':
        return this.#enter(async (client) => this.#follow(await client.recommend()));
      case 'setOffline':
        this.#abort();
        return this.#enter(async (client) => {
          this.#cancelRetry();
          client.setOffline(command.offline);
          return this.#publish('connection', await client.recommend());
        });
      case 'reset':
        this.#abort();
        return this.#enter(async (client) => {
          this.#replaceSession();
          return this.#publish('reset', await client.reset());
        });
      case 'export':
        // A copy of its own: the client's bytes may be a view of WebAssembly memory.
        return this.#enter((client) => client.exportPersonal().slice());
      case 'import':
        return this.#enter(async (client) => {
          const update = await client.importPersonal(command.bytes);
          // Only now: a refused import leaves the request in flight alone. The client has
          // aborted it by itself.
          this.#epoch += 1;
          this.#request = null;
          this.#replaceSession();
          return this.#publish('import', update);
        });
    }
  }

  #enter<T>(job: (client: Client) => T | Promise<T>): Promise<T> {
    return this.#queue.run(() => job(this.#opened()));
  }

  #opened(): Client {
    if (this.#client === null) {
      throw { code: 'not_ready', message: 'the session is not open yet: call open first' };
    }
    return this.#client;
  }

  /** Shows an update to the page, then does what its decision asks for. */
  #publish(cause: UpdateCause, update: Update): Update {
    this.#show(cause, update, true);
    return this.#follow(update);
  }

  #show(cause: UpdateCause, update: Update, decided: boolean): void {
    this.#sent += 1;
    this.#port.postMessage({ kind: 'update', sequence: this.#sent, cause, update, decided });
  }

  #follow(update: Update): Update {
    if (update.decision.action === 'request') this.#ask();
    else this.#retryLater(update);
    return update;
  }

  /**
   * Asks the server for a new list. Only the start of it takes a turn in the queue; clicks
   * go on while the answer is under way.
   */
  #ask(): void {
    if (this.#request !== null || this.#retry !== undefined) return;
    const epoch = this.#epoch;
    const request = this.#askNow(epoch).catch((error: unknown) => {
      if (epoch === this.#epoch) this.#port.postMessage({ kind: 'fault', error: toWire(error) });
    });
    this.#request = request;
    void request.then(() => {
      if (this.#request === request) this.#request = null;
    });
  }

  async #askNow(epoch: number): Promise<void> {
    // The promise is wrapped: the queue would wait for a bare one.
    const asked = await this.#enter((client) => {
      // Given up while it waited for its turn.
      if (epoch !== this.#epoch) return null;
      this.#eventsSinceRequest = false;
      return { answer: client.requestCandidates() };
    });
    if (asked === null) return;
    const update = await asked.answer;
    if (epoch !== this.#epoch) return;
    this.#request = null;
    const followed = update.connection.state === 'online' && this.#eventsSinceRequest;
    this.#show('request', update, followed);
    // A fresh list may still leave the two models apart: without a new event, asking again
    // would bring the same list.
    if (followed) this.#follow(update);
    else this.#retryLater(update);
  }

  /**
   * Decides once more when time may have changed the decision. Not while a list is in use and
   * the server answers: the list must not change under the visitor without a click.
   */
  #retryLater({ connection, decision, items }: Update): void {
    if (connection.state === 'offline') return;
    if (connection.state !== 'failing' && items.length > 0) return;
    const wait = decision.waitMs ?? connection.retryInMs;
    // A budget that never fills up again is waited for in vain.
    if (wait === null || !Number.isFinite(wait)) return;
    if (this.#retry !== undefined || this.#request !== null) return;
    this.#retry = setTimeout(
      () => {
        this.#retry = undefined;
        this.#enter(async (client) => this.#publish('retry', await client.recommend())).catch(
          (error: unknown) => this.#port.postMessage({ kind: 'fault', error: toWire(error) }),
        );
      },
      Math.min(Math.max(wait, MIN_RETRY_MS), MAX_RETRY_MS),
    );
  }

  #cancelRetry(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  /** What was owed to the old session is not done to the new one. */
  #replaceSession(): void {
    this.#learningOwed = false;
    this.#cancelRetry();
  }

  #abort(): void {
    if (this.#request === null) return;
    this.#epoch += 1;
    this.#request = null;
    try {
      this.#client?.abort();
    } catch (error) {
      this.#port.postMessage({ kind: 'fault', error: toWire(error) });
    }
  }

  /**
   * One learning step, once everything that was sent is on the screen; then the next, until
   * no click waits. Each takes its own turn, so that a new click never waits for more than one.
   */
  #learnAfterPaint(): void {
    if (!this.#learningOwed || this.#painted < this.#sent) return;
    this.#learningOwed = false;
    this.#queue
      .whenIdle(async () => {
        // If another update went out meanwhile, its paint comes first.
        const report = this.#painted < this.#sent ? null : await this.#opened().learn();
        this.#learningOwed ||= report !== null || this.#painted < this.#sent;
        if (report !== null) this.#port.postMessage({ kind: 'learned', report });
        this.#learnAfterPaint();
      })
      .catch((error: unknown) => this.#port.postMessage({ kind: 'fault', error: toWire(error) }));
  }
}
