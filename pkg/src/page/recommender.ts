import {
  type ErrorCode,
  errorFrom,
  LifecycleError,
  TandemError,
  type WireError,
} from '../shared/errors.js';
import type {
  EventKind,
  Explanation,
  HostedModel,
  ItemId,
  LearnReport,
  SimilarItem,
  TrackedEvent,
} from '../shared/generated.js';
import type { Command, Delivery, Opened, Results } from '../shared/messages.js';
import { CACHE_NAME } from '../shared/names.js';
import type { Device, DeviceTrial, Ledger, Update } from '../shared/update.js';
import type { Notice, WorkerLike } from './channel.js';
import { Emitter } from './emitter.js';
import { IndexedDbStorage } from './indexed-db.js';
import {
  argument,
  itemId,
  openSettings,
  type RecommenderOptions,
  type RecommendOptions,
  select,
  trackedEvent,
} from './options.js';
import { Outbox } from './outbox.js';
import { PageRequests } from './page-fetch.js';
import { afterPaint } from './paint.js';
import { SessionJournal } from './session-journal.js';
import type { RecommenderEvents, RecommenderState } from './state.js';
import { MemoryStorage, type PersonalStorage } from './storage.js';
import { Supervisor } from './supervisor.js';
import { isSupported } from './support.js';
import { randomId, Tabs } from './tabs.js';
import { Trial } from './trial.js';

/** Maximum number of events that are kept until there is consent. */
const REMEMBERED = 1_000;

/**
 * Recommendations on this page; created by {@link createRecommender}. Calls may overlap; they
 * are carried out in their order. After {@link dispose} every call rejects with a
 * {@link LifecycleError} of code `disposed`.
 */
export class Recommender {
  readonly #options: RecommenderOptions;
  readonly #server: string;
  readonly #events = new Emitter<RecommenderEvents>();
  readonly #supervisor: Supervisor;
  readonly #journal: SessionJournal;
  readonly #requests: PageRequests | null;
  readonly #outbox: Outbox | null;
  readonly #trial: Trial;
  #tabs: Tabs | null = null;
  readonly #onAbort = (): void => this.#end(aborted());
  readonly #onOnline = (): void => this.#online();
  #device: Device = 'cpu';
  #deviceFallback: WireError | null = null;
  #deviceTrial: DeviceTrial | null = null;
  #consent: boolean;
  #storageFault: WireError | null = null;
  #model: string | null;
  #pageEvents: TrackedEvent[] = [];
  #latest: Update | null = null;
  #sequence = 0;
  #learned: LearnReport | null = null;
  #status: RecommenderState['status'] = 'ready';

  private constructor(spawn: () => WorkerLike, options: RecommenderOptions, base: string) {
    const settings = openSettings(options, base);
    this.#options = options;
    this.#server = settings.server;
    this.#consent = settings.consent;
    this.#model = settings.model;
    options.signal?.addEventListener('abort', this.#onAbort);
    this.#supervisor = new Supervisor(spawn, settings, {
      notice: (notice) => this.#receive(notice),
      restore: (except) => this.#journal.restore(except),
      restarted: (opened) => this.#restarted(opened),
      failed: (error) => {
        this.#status = 'failed';
        this.#events.emit('error', error);
      },
    });
    this.#trial = new Trial({
      spawn,
      due: () => this.#call({ type: 'trialDue' }),
      settings: () => this.#supervisor.settings,
      measured: (trial) => {
        this.#deviceTrial = trial;
      },
    });
    const tab = randomId();
    this.#journal = new SessionJournal(
      settings.consent ? this.#lasting() : new MemoryStorage(),
      tab,
      {
        export: () => this.#call({ type: 'export' }),
        restore: (restore) => this.#call({ type: 'restore', restore }),
        apply: ({ id, event }) => this.#call({ type: 'track', id, event, tab: true }),
      },
      {
        onFault: (error) => {
          this.#storageFault = { code: error.code, message: error.message };
          this.#events.emit('error', error);
        },
        onStored: () => this.#tabs?.post('stored'),
      },
    );
    const own = options.fetch;
    this.#requests =
      own === undefined
        ? null
        : new PageRequests(own, (id, answer) =>
            this.#supervisor.post({ kind: 'fetched', id, answer }),
          );
    this.#outbox =
      options.events === true
        ? new Outbox(tab, {
            storage: () => this.#journal.storage,
            send: (path, body, why) => this.#call({ type: 'send', path, body, why }),
            refused: (error) => this.#events.emit('error', error),
          })
        : null;
  }

  /** Whether this browser has module workers and WebAssembly with SIMD. */
  static isSupported(): boolean {
    return isSupported();
  }

  /** Removes the model's files that recommenders of this origin have stored on the device. */
  static async clearCache(): Promise<void> {
    if (typeof caches !== 'undefined') await caches.delete(CACHE_NAME);
  }

  /** Opens a session in the given worker. @internal */
  static async open(
    options: RecommenderOptions,
    base: string,
    spawn: () => WorkerLike,
  ): Promise<Recommender> {
    if (options.signal?.aborted) {
      openSettings(options, base);
      throw aborted();
    }
    const recommender = new Recommender(spawn, options, base);
    try {
      await recommender.#open();
      return recommender;
    } catch (error) {
      recommender.#end();
      throw error;
    }
  }

  /**
   * Tracks an event of the visitor or, with `undo`, reverts the last one. Resolves with the
   * new ranking once the event is stored with the session, without waiting for the network.
   * Rejects with `invalid_argument` for an invalid event, and with `unknown_item` if the device
   * has the whole catalogue and the item is not in it.
   */
  async track(
    event: { type: EventKind; item: ItemId | number } | { type: 'undo' },
  ): Promise<Update> {
    if (event.type === 'undo') return (await this.#undo()).update;
    const tracked = trackedEvent(event.type, event.item);
    if (this.#journal.busy) await this.#journal.idle();
    if (this.#status !== 'ready') return this.#call({ type: 'recommend' });
    const id = this.#journal.nextId();
    const safe = this.#journal.record(id, tracked);
    try {
      const [update] = await Promise.all([this.#call({ type: 'track', event: tracked, id }), safe]);
      this.#remember(tracked);
      await this.#outbox?.add(tracked);
      return update;
    } catch (error) {
      // Refused. After the end of the worker or the recommender it stays in the journal.
      if (this.#status === 'ready') await this.#journal.forget(id);
      // The server's log may know the item already.
      if (hasCode(error, 'unknown_item')) await this.#outbox?.add(tracked);
      throw error;
    }
  }

  /**
   * Reverts the newest click, purchase or dislike and its learning step, and resolves with the
   * event; with `null` if there is none. The last ten events since the page was opened can be
   * reverted. An event that was sent to the server's log stays there.
   */
  async undo(): Promise<TrackedEvent | null> {
    return (await this.#undo()).event;
  }

  /**
   * The current recommendations, ranked on the device. Without any, it requests a list and
   * waits for it; `items` is empty only if that fails or the network is forbidden, and
   * `connection` has the cause.
   */
  async recommend(options: RecommendOptions = {}): Promise<Update> {
    select([], options);
    const update = await this.#call({ type: 'recommend' });
    const connectionChanged = this.#note(update);
    this.#events.emit('decision', update.decision);
    if (connectionChanged) this.#events.emit('offline', update.connection);
    return { ...update, items: select(update.items, options) };
  }

  /** Why an item has its rank; `null` if it is not recommended. No network. */
  async explain(item: ItemId | number): Promise<Explanation | null> {
    return this.#call({ type: 'explain', item: itemId('item', item) });
  }

  /**
   * The most similar items by the small model, best first, among the items whose rows are on
   * the device: the whole catalogue up to 20,000 items, else those of lists and history.
   * `null` if this item's own row is not on the device. No network.
   */
  async similar(
    item: ItemId | number,
    { k = 10 }: { k?: number } = {},
  ): Promise<SimilarItem[] | null> {
    if (!(Number.isInteger(k) && k > 0)) throw argument('k', 'an integer from 1', k);
    return this.#call({ type: 'similar', item: itemId('item', item), k });
  }

  /**
   * Disagreement of the small model with the page's own order of items, 0 to 1; `null` without
   * a history or with fewer than two known items. Only in shadow mode, the number is sent to
   * the server, rounded to two digits.
   */
  async compare(items: Iterable<ItemId | number>): Promise<number | null> {
    return this.#call({ type: 'compare', items: [...items].map((item) => itemId('items', item)) });
  }

  /** The language models of the server; the first is its default. */
  models(): Promise<HostedModel[]> {
    return this.#call({ type: 'models' });
  }

  /**
   * Selects the language model for the lists, and requests one; `null`: the server's default.
   * Rejects with `invalid_argument` for a name that the server does not have.
   */
  async useModel(name: string | null): Promise<Update> {
    if (name !== null) itemId('name', name);
    const update = await this.#call({ type: 'useModel', name });
    this.#model = name;
    this.#supervisor.remember({ model: name });
    return update;
  }

  /** Forbids the network, or allows it again. */
  async setOffline(offline: boolean): Promise<void> {
    this.#supervisor.remember({ offline });
    await this.#call({ type: 'setOffline', offline });
    if (!offline) this.#outbox?.flush();
  }

  /**
   * Grants or withdraws the visitor's consent to storage on this device. With consent, session,
   * personal delta and the model's files outlive the page. A withdrawal deletes them and the
   * events that are queued for the server, and the session continues in memory; events are sent
   * again only after a new consent.
   */
  async setConsent(granted: boolean): Promise<void> {
    if (granted === this.#consent) return;
    this.#consent = granted;
    this.#supervisor.remember({ consent: granted });
    if (granted) {
      this.#storageFault = null;
      this.#outbox?.suspend(false);
      await this.#journal.moveTo(this.#lasting(), this.#pageEvents, true);
      this.#pageEvents = [];
      this.#joinTabs();
    } else {
      this.#tabs?.post('erased');
      await this.#goToMemory();
    }
    await this.#call({ type: 'setConsent', granted });
    if (!granted) await Recommender.clearCache();
  }

  /** Deletes the session and the personal delta, on the device and in memory. */
  async reset(): Promise<void> {
    await this.#journal.replace(async () => {
      await this.#call({ type: 'reset' });
      return { value: null, snapshot: null };
    });
    this.#outbox?.forget();
    this.#learned = null;
    this.#pageEvents = [];
  }

  /** Session and personal delta as bytes that {@link importPersonalData} takes. */
  exportPersonalData(): Promise<Uint8Array> {
    return this.#call({ type: 'export' });
  }

  /**
   * Replaces the session by an exported one. Rejects, and changes nothing, if the bytes are
   * damaged or belong to another model.
   */
  async importPersonalData(bytes: Uint8Array): Promise<void> {
    await this.#journal.replace(async () => {
      await this.#call({ type: 'import', bytes });
      return { value: null, snapshot: await this.#call({ type: 'export' }) };
    });
  }

  /** All requests since the recommender was opened, with their time, address, purpose and body. */
  ledger(): Promise<Ledger> {
    return this.#call({ type: 'ledger' });
  }

  /** The current state, without a call to the worker. */
  state(): RecommenderState {
    const latest = this.#latest;
    if (latest === null)
      throw errorFrom({
        code: 'not_ready',
        message: 'the recommender is not open yet: await createRecommender first',
      });
    return {
      status: this.#status,
      device: this.#device,
      deviceFallback: this.#deviceFallback,
      deviceTrial: this.#deviceTrial,
      consent: this.#consent,
      storage: this.#journal.storage instanceof MemoryStorage ? 'memory' : 'device',
      storageFault: this.#storageFault,
      model: this.#model,
      connection: latest.connection,
      decision: latest.decision,
      stats: latest.stats,
      history: latest.history,
      learned: this.#learned,
    };
  }

  /** Adds a listener; returns the function that removes it. */
  on<Name extends keyof RecommenderEvents>(
    name: Name,
    listener: (payload: RecommenderEvents[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener);
  }

  /** Ends the worker and frees its memory. May be called twice. */
  dispose(): void {
    this.#end();
  }

  async #open(): Promise<void> {
    const restore = this.#consent ? this.#journal.restore() : Promise.resolve(null);
    const opened = await this.#supervisor.open(restore);
    this.#device = opened.device;
    this.#deviceFallback = opened.fallback;
    this.#deviceTrial = opened.trial;
    this.#latest ??= opened.update;
    if (this.#consent) this.#joinTabs();
    if (typeof window !== 'undefined') window.addEventListener('online', this.#onOnline);
    // Events that an earlier visit could not send.
    this.#outbox?.flush();
  }

  async #undo(): Promise<Results['undo']> {
    const undone = await this.#journal.replace(async () => {
      const value = await this.#call({ type: 'undo' });
      return { value, snapshot: await this.#call({ type: 'export' }) };
    });
    const { event } = undone;
    if (event !== null) {
      const names = this.#pageEvents.map(({ type, item }) => `${type} ${item}`);
      const at = names.lastIndexOf(`${event.type} ${event.item}`);
      if (at >= 0) this.#pageEvents.splice(at, 1);
      this.#outbox?.takeBack(event);
    }
    return undone;
  }

  #call<C extends Command>(command: C): Promise<Results[C['type']]> {
    return this.#supervisor.call(command);
  }

  #lasting(): PersonalStorage {
    return this.#options.storage ?? new IndexedDbStorage(this.#server);
  }

  #remember(event: TrackedEvent): void {
    if (this.#consent) return;
    this.#pageEvents.push(event);
    if (this.#pageEvents.length > REMEMBERED) this.#pageEvents.shift();
  }

  #joinTabs(): void {
    if (this.#status !== 'ready') return;
    this.#tabs ??= new Tabs(
      this.#server,
      () => {
        this.#journal.sync().catch((error: TandemError) => this.#events.emit('error', error));
      },
      () => {
        this.#consent = false;
        this.#supervisor.remember({ consent: false });
        void this.#goToMemory().catch(() => undefined);
        this.#call({ type: 'setConsent', granted: false }).catch(() => undefined);
      },
    );
  }

  /** The visitor withdrew the consent. */
  #goToMemory(): Promise<void> {
    this.#trial.close();
    this.#outbox?.suspend(true);
    this.#tabs?.close();
    this.#tabs = null;
    return this.#journal.moveTo(new MemoryStorage(), [], false);
  }

  /** The browser reports a network again: the server is tried at once. */
  #online(): void {
    this.#outbox?.flush();
    if (this.#latest?.connection.state === 'failing') {
      this.#call({ type: 'setOffline', offline: false }).catch(() => undefined);
    }
  }

  #end(reason = new LifecycleError('disposed', 'the recommender was disposed of')): void {
    this.#status = 'disposed';
    // The signal may outlive this recommender and must not keep it in memory.
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    if (typeof window !== 'undefined') window.removeEventListener('online', this.#onOnline);
    this.#supervisor.close(reason);
    this.#trial.close();
    this.#tabs?.close();
    this.#outbox?.close();
    this.#events.clear();
  }

  #receive(notice: Notice): void {
    switch (notice.kind) {
      case 'alive':
        break;
      case 'progress':
        this.#options.onProgress?.(notice.progress);
        break;
      case 'update':
        this.#deliver(notice.update, notice);
        afterPaint(() => this.#supervisor.post({ kind: 'painted', sequence: notice.sequence }));
        break;
      case 'learned':
        this.#learned = notice.report;
        this.#events.emit('learn', notice.report);
        break;
      case 'snapshot':
        void this.#journal.keep(notice.bytes, notice.through);
        if (this.#consent && this.#latest?.items.length) this.#trial.offer(notice.bytes);
        break;
      case 'fetch':
      case 'abortFetch':
        this.#requests?.receive(notice);
        break;
      case 'fault':
        this.#events.emit('error', errorFrom(notice.error));
        break;
    }
  }

  #restarted({ device, fallback, update }: Opened): void {
    this.#device = device;
    this.#deviceFallback = fallback;
    this.#deliver(update, { cause: 'restart', decided: false });
  }

  #deliver(update: Update, { cause, decided }: Omit<Delivery, 'sequence'>): void {
    const connectionChanged = this.#note(update);
    this.#sequence += 1;
    this.#events.emit('update', { ...update, cause, sequence: this.#sequence });
    if (decided) this.#events.emit('decision', update.decision);
    if (!connectionChanged) return;
    this.#events.emit('offline', update.connection);
    if (update.connection.state === 'online') this.#outbox?.flush();
  }

  /** Stores the newest state; returns whether the state of the connection changed. */
  #note(update: Update): boolean {
    const before = this.#latest?.connection.state ?? update.connection.state;
    this.#latest = update;
    return before !== update.connection.state;
  }
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof TandemError && error.code === code;
}

function aborted(): LifecycleError {
  return new LifecycleError('aborted', 'opening was aborted by its signal');
}
