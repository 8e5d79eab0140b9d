import {
  DeviceError,
  errorFrom,
  LifecycleError,
  type TandemError,
  type WireError,
} from '../shared/errors.js';
import type {
  Connection,
  Decision,
  DeliveredUpdate,
  Device,
  LearnReport,
  Stats,
  TrackedEvent,
  Update,
} from '../shared/update.js';
import { Channel, type Notice, type WorkerLike } from './channel.js';
import { Emitter } from './emitter.js';
import {
  argument,
  openSettings,
  type RecommenderOptions,
  type RecommendOptions,
  select,
} from './options.js';
import { afterPaint } from './paint.js';

/** What {@link Recommender.on} can be asked to tell, and what its listeners get. */
export interface RecommenderEvents {
  /** The list or what is known about it changed. */
  update: DeliveredUpdate;
  /** The device decided anew whether the cloud is called, and acts on it. */
  decision: Decision;
  /** The device made one learning step. */
  learn: LearnReport;
  /** The connection went from one state to another, in either direction. */
  offline: Connection;
  /** Something failed that no call of yours is waiting for. */
  error: TandemError;
}

/** A snapshot, for showing; see {@link Recommender.state}. */
export interface RecommenderState {
  /** `failed`: the worker died; nothing works any more but {@link Recommender.dispose}. */
  status: 'ready' | 'failed' | 'disposed';
  /** Where the small model really runs. */
  device: Device;
  /** Why it is not the device that was asked for; `null` if it is. */
  deviceFallback: WireError | null;
  connection: Connection;
  decision: Decision;
  stats: Stats;
  /** The session's items, oldest first. */
  history: readonly string[];
  /** The last learning step; `null` before the first. */
  learned: LearnReport | null;
}

const eventTypes: readonly string[] = ['click', 'view', 'purchase', 'dislike'];

/**
 * Recommendations on this page. Made by {@link createRecommender}. Calls may overlap: they
 * are carried out in the order in which they were made. After {@link dispose} every call
 * rejects with a {@link LifecycleError} of code `disposed`.
 */
export class Recommender {
  readonly #events = new Emitter<RecommenderEvents>();
  readonly #channel: Channel;
  readonly #onProgress: RecommenderOptions['onProgress'];
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#end(aborted());
  #device: Device = 'cpu';
  #deviceFallback: WireError | null = null;
  #latest: Update | null = null;
  #learned: LearnReport | null = null;
  #status: RecommenderState['status'] = 'ready';

  private constructor(worker: WorkerLike, options: RecommenderOptions) {
    this.#onProgress = options.onProgress;
    this.#signal = options.signal;
    this.#signal?.addEventListener('abort', this.#onAbort);
    this.#channel = new Channel(
      worker,
      (notice) => this.#receive(notice),
      (error) => {
        this.#status = 'failed';
        this.#events.emit('error', error);
      },
    );
  }

  /** Whether this browser has what is needed: module workers and WebAssembly with SIMD. */
  static isSupported(): boolean {
    return (
      typeof Worker === 'function' &&
      typeof WebAssembly === 'object' &&
      WebAssembly.validate(simdProbe)
    );
  }

  /** Opens a session in the given worker. @internal */
  static async open(
    options: RecommenderOptions,
    base: string,
    spawn: () => WorkerLike,
  ): Promise<Recommender> {
    const settings = openSettings(options, base);
    if (options.signal?.aborted) throw aborted();
    const recommender = new Recommender(spawn(), options);
    try {
      const opened = await recommender.#channel.call({ type: 'open', settings });
      recommender.#device = opened.device;
      recommender.#deviceFallback = opened.fallback;
      recommender.#latest ??= opened.update;
      return recommender;
    } catch (error) {
      recommender.#end();
      throw error;
    }
  }

  /**
   * Tells what the visitor did. Resolves with the re-ranked list; the network is not waited
   * for. Rejects with `invalid_argument` for an event of the wrong shape.
   */
  async track(event: TrackedEvent): Promise<Update> {
    if (!eventTypes.includes(event.type)) {
      throw argument('event.type', eventTypes.join(', '), event.type);
    }
    if (typeof event.item !== 'string' || event.item === '') {
      throw argument('event.item', 'the id of an item', event.item);
    }
    return this.#channel.call({ type: 'track', event: { type: event.type, item: event.item } });
  }

  /**
   * The list as it stands, ranked anew on the device. If there is none yet, the cloud is
   * asked and an `update` follows.
   */
  async recommend(options: RecommendOptions = {}): Promise<Update> {
    select([], options);
    const update = await this.#channel.call({ type: 'recommend' });
    const connectionChanged = this.#note(update);
    this.#events.emit('decision', update.decision);
    if (connectionChanged) this.#events.emit('offline', update.connection);
    return { ...update, items: select(update.items, options) };
  }

  /** Keeps the package off the network, or lets it on again. */
  async setOffline(offline: boolean): Promise<void> {
    await this.#channel.call({ type: 'setOffline', offline });
  }

  /** Forgets the session and all that was learnt from it. */
  async reset(): Promise<void> {
    await this.#channel.call({ type: 'reset' });
    this.#learned = null;
  }

  /** Session and personal delta as bytes that {@link importPersonalData} takes. */
  exportPersonalData(): Promise<Uint8Array> {
    return this.#channel.call({ type: 'export' });
  }

  /**
   * Takes up an exported session in place of this one. Rejects, and changes nothing, if the
   * bytes are damaged or belong to another model.
   */
  async importPersonalData(bytes: Uint8Array): Promise<void> {
    await this.#channel.call({ type: 'import', bytes });
  }

  /** What is known now, without asking the worker. */
  state(): RecommenderState {
    const latest = this.#latest;
    if (latest === null) throw errorFrom({ code: 'not_ready', message: 'not open yet' });
    return {
      status: this.#status,
      device: this.#device,
      deviceFallback: this.#deviceFallback,
      connection: latest.connection,
      decision: latest.decision,
      stats: latest.stats,
      history: latest.history,
      learned: this.#learned,
    };
  }

  /** Listens; the function it returns stops that. */
  on<Name extends keyof RecommenderEvents>(
    name: Name,
    listener: (payload: RecommenderEvents[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener);
  }

  /** Ends the worker and frees what it holds. May be called twice. */
  dispose(): void {
    this.#end();
  }

  #end(reason?: LifecycleError): void {
    this.#status = 'disposed';
    // A signal may outlive many recommenders: it must not hold on to this one.
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#channel.close(reason);
    this.#events.clear();
  }

  #receive(notice: Notice): void {
    switch (notice.kind) {
      case 'progress':
        this.#onProgress?.(notice.progress);
        break;
      case 'update': {
        const { sequence, cause, update, decided } = notice;
        const connectionChanged = this.#note(update);
        this.#events.emit('update', { ...update, cause, sequence });
        if (decided) this.#events.emit('decision', update.decision);
        if (connectionChanged) this.#events.emit('offline', update.connection);
        afterPaint(() => this.#channel.painted(sequence));
        break;
      }
      case 'learned':
        this.#learned = notice.report;
        this.#events.emit('learn', notice.report);
        break;
      case 'fault':
        this.#events.emit('error', errorFrom(notice.error));
        break;
    }
  }

  /** Remembers the newest state; returns whether the connection is another one now. */
  #note(update: Update): boolean {
    const before = this.#latest?.connection.state ?? update.connection.state;
    this.#latest = update;
    return before !== update.connection.state;
  }
}

/**
 * Starts the worker, fetches and verifies the model, and resolves once the device can rank.
 *
 * Rejects with an {@link ArtifactError} if a file is damaged, a {@link ServerError} if the
 * server is away, a {@link LifecycleError} if `signal` is aborted, a {@link DeviceError} if
 * the browser lacks what is needed. Importing this module in Node is safe; calling this
 * there rejects.
 */
export async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
  if (!Recommender.isSupported()) {
    throw new DeviceError(
      'unsupported',
      'this environment has no module workers or no WebAssembly SIMD; ' +
        'in server-side rendering create the recommender in the browser only',
    );
  }
  return Recommender.open(options, document.baseURI, () =>
    options.workerUrl === undefined
      ? new Worker(new URL('../worker/index.js', import.meta.url), { type: 'module' })
      : new Worker(options.workerUrl, { type: 'module' }),
  );
}

function aborted(): LifecycleError {
  return new LifecycleError('aborted', 'opening was aborted by its signal');
}

/** A module with one function that returns a `v128`: valid only where there is SIMD. */
const simdProbe = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
]);
