import { errorFrom, LifecycleError, type TandemError } from '../shared/errors.js';
import type { RankedItem } from '../shared/generated.js';
import type {
  Command,
  Delivery,
  Description,
  Results,
  SentUpdate,
  ToPage,
  ToWorker,
} from '../shared/messages.js';
import type { ItemDetails, Update } from '../shared/update.js';

/** The part of `Worker` that is used; tests replace it. */
export interface WorkerLike {
  postMessage(message: ToWorker): void;
  terminate(): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<ToPage>) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string }) => void): void;
}

/** An update for the listeners. */
export interface UpdateNotice extends Delivery {
  kind: 'update';
  update: Update;
}

/** Messages of the worker other than results, with whole updates. */
export type Notice = Exclude<ToPage, { kind: 'result' | 'failure' | 'update' }> | UpdateNotice;

interface Pending {
  resolve(value: unknown): void;
  reject(error: TandemError): void;
}

/**
 * Calls into the worker as promises, which settle at the latest on close. Puts the history
 * together again, of which the worker sends only changes, and adds the descriptions of items,
 * which it sends once.
 */
export class Channel {
  readonly #worker: WorkerLike;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #history: string[] = [];
  readonly #details = new Map<string, ItemDetails>();
  #closed: TandemError | null = null;

  constructor(
    worker: WorkerLike,
    onNotice: (notice: Notice) => void,
    onFailure: (error: TandemError) => void,
  ) {
    this.#worker = worker;
    worker.addEventListener('message', ({ data }) => {
      if (this.#closed !== null) return;
      if ('described' in data) this.#learn(data.described);
      if (data.kind === 'failure') {
        this.#take(data.id)?.reject(errorFrom(data.error));
      } else if (data.kind === 'update') {
        onNotice({ kind: 'update', update: this.#whole(data.update), ...data.delivery });
      } else if (data.kind !== 'result') {
        onNotice(data);
      } else if (data.update === undefined) {
        this.#take(data.id)?.resolve(this.#withDetails(data.value));
      } else {
        const update = this.#whole(data.update);
        if (data.delivery !== undefined) onNotice({ kind: 'update', update, ...data.delivery });
        const { value } = data;
        this.#take(data.id)?.resolve(value === null ? update : { ...(value as object), update });
      }
    });
    worker.addEventListener('error', (event) => {
      if (this.#closed !== null) return;
      // A worker that could not be loaded has no message.
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

  /** Sends a message without a result. */
  post(message: Exclude<ToWorker, { kind: 'call' }>): void {
    if (this.#closed === null) this.#worker.postMessage(message);
  }

  /** Ends the worker at once. Pending and later calls reject with `reason`. */
  close(
    reason: TandemError = new LifecycleError('disposed', 'the recommender was disposed of'),
  ): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    this.#worker.terminate();
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }

  #whole({ history, items, ...update }: SentUpdate): Update {
    const { dropped, kept, added } = history;
    this.#history = [...this.#history.slice(dropped, dropped + kept), ...added];
    return { ...update, items: this.#described(items), history: [...this.#history] };
  }

  /** The result of a call; its items, if it has any, with their descriptions. */
  #withDetails(value: unknown): unknown {
    // Language models are a list as well, and have no descriptions.
    if (Array.isArray(value)) this.#described(value as { item: string }[]);
    const { items, item } = (value ?? {}) as { items?: RankedItem[]; item?: RankedItem | string };
    if (items !== undefined) this.#described(items);
    if (typeof item === 'object') this.#described([item]);
    return value;
  }

  #learn(described: readonly Description[] = []): void {
    for (const { item, ...details } of described) this.#details.set(item, details);
  }

  /** Adds to the items of a message, which are this page's own: copies would be garbage. */
  #described<T extends { item: string }>(items: readonly T[]): (T & ItemDetails)[] {
    return items.map((item) => Object.assign(item, this.#details.get(item.item)));
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
