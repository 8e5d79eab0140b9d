import { errorFrom, LifecycleError, type TandemError } from '../shared/errors.js';
import type { Command, Results, ToPage, ToWorker } from '../shared/messages.js';

/** The part of `Worker` that is used; tests put a port here. */
export interface WorkerLike {
  postMessage(message: ToWorker): void;
  terminate(): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<ToPage>) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string }) => void): void;
}

/** Messages of the worker that answer no call. */
export type Notice = Exclude<ToPage, { kind: 'result' | 'failure' }>;

interface Pending {
  resolve(value: Results[keyof Results]): void;
  reject(error: TandemError): void;
}

/** Calls into the worker as promises; every promise settles, at the latest on close. */
export class Channel {
  readonly #worker: WorkerLike;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #closed: TandemError | null = null;

  constructor(
    worker: WorkerLike,
    onNotice: (notice: Notice) => void,
    onFailure: (error: TandemError) => void,
  ) {
    this.#worker = worker;
    worker.addEventListener('message', ({ data }) => {
      if (this.#closed !== null) return;
      if (data.kind === 'result') this.#take(data.id)?.resolve(data.value);
      else if (data.kind === 'failure') this.#take(data.id)?.reject(errorFrom(data.error));
      else onNotice(data);
    });
    worker.addEventListener('error', (event) => {
      if (this.#closed !== null) return;
      // A worker that could not be loaded gives no message.
      const cause = event.message
        ? `the worker failed: ${event.message}`
        : 'the worker could not be loaded: check workerUrl, and that the page’s ' +
          'Content-Security-Policy allows it (worker-src)';
      const error = errorFrom({ code: 'worker_failed', message: cause });
      this.close(error);
      onFailure(error);
    });
  }

  call<C extends Command>(command: C): Promise<Results[C['type']]> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        resolve: (value) => resolve(value as Results[C['type']]),
        reject,
      });
      this.#worker.postMessage({ kind: 'call', id, command });
    });
  }

  /** Whether the worker has ended or was ended. */
  get closed(): boolean {
    return this.#closed !== null;
  }

  /** Sends what has no answer. */
  post(message: Exclude<ToWorker, { kind: 'call' }>): void {
    if (this.#closed === null) this.#worker.postMessage(message);
  }

  /** Ends the worker at once; what is pending and what comes later rejects with `reason`. */
  close(
    reason: TandemError = new LifecycleError('disposed', 'the recommender was disposed of'),
  ): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
