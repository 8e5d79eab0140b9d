import { errorFrom, LifecycleError, type TandemError, type WireError } from '../shared/errors.js';
import type { Command, Opened, Results } from '../shared/messages.js';
import { CACHE_NAME } from '../shared/names.js';
import type {
  Device,
  DeviceTrial,
  Explanation,
  HostedModel,
  LearnReport,
  Ledger,
  SimilarItem,
  TrackedEvent,
  Update,
  UpdateCause,
} from '../shared/update.js';
import type { Notice, WorkerLike } from './channel.js';
import { Emitter } from './emitter.js';
import { IndexedDbStorage } from './indexed-db.js';
import { Keeper } from './keeper.js';
import {
  argument,
  itemId,
  openSettings,
  type RecommenderOptions,
  type RecommendOptions,
  select,
} from './options.js';
import { Outbox } from './outbox.js';
import { PageRequests } from './page-fetch.js';
import { afterPaint } from './paint.js';
import type { RecommenderEvents, RecommenderState } from './state.js';
import { MemoryStorage, type PersonalStorage } from './storage.js';
import { Supervisor } from './supervisor.js';
import { isSupported } from './support.js';
import { Tabs } from './tabs.js';
import { Trial } from './trial.js';

const eventTypes: readonly string[] = ['click', 'view', 'purchase', 'dislike'];
/** Events of this page that are kept for a consent that may come. */
const REMEMBERED = 1_000;

/**
 * Recommendations on this page. Made by {@link createRecommender}. Calls may overlap: they
 * are carried out in the order in which they were made. After {@link dispose} every call
 * rejects with a {@link LifecycleError} of code `disposed`.
 */
export class Recommender {
  readonly #options: RecommenderOptions;
  readonly #server: string;
  readonly #events = new Emitter<RecommenderEvents>();
  readonly #supervisor: Supervisor;
  readonly #keeper: Keeper;
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
      restore: (except) => this.#keeper.restore(except),
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
    const tab = randomName();
    this.#keeper = new Keeper(
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
        onStored: () => this.#tabs?.tell('stored'),
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
            storage: () => this.#keeper.storage,
            send: (path, body, why) => this.#call({ type: 'send', path, body, why }),
            refused: (error) => this.#events.emit('error', error),
          })
        : null;
  }

  /** Whether this browser has what is needed: module workers and WebAssembly with SIMD. */
  static isSupported(): boolean {
    return isSupported();
  }

  /** Removes the model's files that recommenders of this origin have kept on the device. */
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
   * Tells what the visitor did, or, with `undo`, that the last of it does not count.
   * Resolves with the re-ranked list once the event is safe where the session is kept; the
   * network is not waited for. Rejects with `invalid_argument` for an event of the wrong
   * shape.
   */
  async track(event: TrackedEvent | { type: 'undo' }): Promise<Update> {
    if (event.type === 'undo') return (await this.#undo()).update;
    if (!eventTypes.includes(event.type)) {
      throw argument('event.type', [...eventTypes, 'undo'].join(', '), event.type);
    }
    const tracked: TrackedEvent = { type: event.type, item: itemId('event.item', event.item) };
    if (this.#keeper.busy) await this.#keeper.idle();
    if (this.#status !== 'ready') return this.#call({ type: 'recommend' });
    const id = this.#keeper.nextId();
    const safe = this.#keeper.record(id, tracked);
    try {
      const [update] = await Promise.all([this.#call({ type: 'track', event: tracked, id }), safe]);
      this.#remember(tracked);
      await this.#outbox?.add(tracked);
      return update;
    } catch (error) {
      // It is in no session; with the worker or the recommender gone, it may yet be.
      if (this.#status === 'ready') await this.#keeper.forget(id);
      throw error;
    }
  }

  /**
   * Takes back the newest click, purchase or dislike, with what was learnt from it, and
   * resolves with it; with `null` if none of the last ten is left, or none since the page
   * was opened. One that is in the server's log already stays there.
   */
  async undo(): Promise<TrackedEvent | null> {
    return (await this.#undo()).event;
  }

  /**
   * The list as it stands, ranked anew on the device. If there is none yet, the cloud is
   * asked and an `update` follows.
   */
  async recommend(options: RecommendOptions = {}): Promise<Update> {
    select([], options);
    const update = await this.#call({ type: 'recommend' });
    const connectionChanged = this.#note(update);
    this.#events.emit('decision', update.decision);
    if (connectionChanged) this.#events.emit('offline', update.connection);
    return { ...update, items: select(update.items, options) };
  }

  /** Why an item stands where it does; `null` if it is not in the list. No network. */
  async explain(item: string): Promise<Explanation | null> {
    return this.#call({ type: 'explain', item: itemId('item', item) });
  }

  /**
   * Items like this one, best first, as the small model has them. Looks among the items
   * whose rows the device holds: all of a catalogue of at most 20,000, else those of lists
   * and history. `null` if this item's own row is not among them. No network.
   */
  async similar(item: string, { k = 10 }: { k?: number } = {}): Promise<SimilarItem[] | null> {
    if (!(Number.isInteger(k) && k > 0)) throw argument('k', 'a positive whole number', k);
    return this.#call({ type: 'similar', item: itemId('item', item), k });
  }

  /**
   * How far the small model would order a list of the page's own otherwise, 0 to 1; `null`
   * without a history, or with fewer than two items it knows. In shadow mode, and only there,
   * the number (two digits of it) is sent to the server.
   */
  async compare(items: Iterable<string>): Promise<number | null> {
    return this.#call({ type: 'compare', items: [...items].map((item) => itemId('items', item)) });
  }

  /** The language models of the server; the first is asked if none is chosen. */
  models(): Promise<HostedModel[]> {
    return this.#call({ type: 'models' });
  }

  /** Which language model makes the lists; `null`: the server's first. Asks it for a list. */
  async useModel(name: string | null): Promise<Update> {
    if (name !== null) itemId('name', name);
    const update = await this.#call({ type: 'useModel', name });
    this.#model = name;
    this.#supervisor.remember({ model: name });
    return update;
  }

  /** Keeps the package off the network, or lets it on again. */
  async setOffline(offline: boolean): Promise<void> {
    this.#supervisor.remember({ offline });
    await this.#call({ type: 'setOffline', offline });
    if (!offline) this.#outbox?.flush();
  }

  /**
   * The visitor agreed, or does so no more, that things are kept on this device. From then
   * on session, personal delta and the model's files outlive the page; without consent what
   * was kept is erased, and the session goes on in memory.
   */
  async setConsent(granted: boolean): Promise<void> {
    if (granted === this.#consent) return;
    this.#consent = granted;
    this.#supervisor.remember({ consent: granted });
    if (granted) {
      this.#storageFault = null;
      await this.#keeper.moveTo(this.#lasting(), this.#pageEvents);
      this.#pageEvents = [];
      this.#joinTabs();
    } else {
      this.#trial.close();
      this.#tabs?.tell('erased');
      await this.#goToMemory();
    }
    await this.#call({ type: 'setConsent', granted });
    if (!granted) await Recommender.clearCache();
  }

  /** Forgets the session and all that was learnt from it, wherever it is kept. */
  async reset(): Promise<void> {
    await this.#keeper.replace(async () => {
      await this.#call({ type: 'reset' });
      return null;
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
   * Takes up an exported session in place of this one. Rejects, and changes nothing, if the
   * bytes are damaged or belong to another model.
   */
  async importPersonalData(bytes: Uint8Array): Promise<void> {
    await this.#keeper.replace(async () => {
      await this.#call({ type: 'import', bytes });
      return this.#call({ type: 'export' });
    });
  }

  /** All that was sent from this device since the recommender was opened: when, where, why, what. */
  ledger(): Promise<Ledger> {
    return this.#call({ type: 'ledger' });
  }

  /** What is known now, without asking the worker. */
  state(): RecommenderState {
    const latest = this.#latest;
    if (latest === null) throw errorFrom({ code: 'not_ready', message: 'not open yet' });
    return {
      status: this.#status,
      device: this.#device,
      deviceFallback: this.#deviceFallback,
      deviceTrial: this.#deviceTrial,
      consent: this.#consent,
      storage: this.#keeper.storage instanceof MemoryStorage ? 'memory' : 'device',
      storageFault: this.#storageFault,
      model: this.#model,
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

  async #open(): Promise<void> {
    const restore = this.#consent ? this.#keeper.restore() : Promise.resolve(null);
    const opened = await this.#supervisor.open(restore);
    this.#device = opened.device;
    this.#deviceFallback = opened.fallback;
    this.#deviceTrial = opened.trial;
    this.#latest ??= opened.update;
    if (this.#consent) this.#joinTabs();
    if (typeof window !== 'undefined') window.addEventListener('online', this.#onOnline);
    // What an earlier visit could not send.
    this.#outbox?.flush();
  }

  async #undo(): Promise<Results['undo']> {
    let undone: Results['undo'] | null = null;
    await this.#keeper.replace(async () => {
      undone = await this.#call({ type: 'undo' });
      return this.#call({ type: 'export' });
    });
    const done = undone as unknown as Results['undo'];
    const { event } = done;
    if (event !== null) {
      const names = this.#pageEvents.map(({ type, item }) => `${type} ${item}`);
      const at = names.lastIndexOf(`${event.type} ${event.item}`);
      if (at >= 0) this.#pageEvents.splice(at, 1);
      this.#outbox?.takeBack(event);
    }
    return done;
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
        this.#keeper.sync().catch((error: TandemError) => this.#events.emit('error', error));
      },
      () => {
        this.#consent = false;
        this.#trial.close();
        this.#supervisor.remember({ consent: false });
        void this.#goToMemory().catch(() => undefined);
        this.#call({ type: 'setConsent', granted: false }).catch(() => undefined);
      },
    );
  }

  #goToMemory(): Promise<void> {
    this.#tabs?.close();
    this.#tabs = null;
    return this.#keeper.moveTo(new MemoryStorage(), []);
  }

  /** The browser says that there is a network again: the server need not be spared. */
  #online(): void {
    this.#outbox?.flush();
    if (this.#latest?.connection.state === 'failing') {
      this.#call({ type: 'setOffline', offline: false }).catch(() => undefined);
    }
  }

  #end(reason = new LifecycleError('disposed', 'the recommender was disposed of')): void {
    this.#status = 'disposed';
    // A signal may outlive many recommenders: it must not hold on to this one.
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
        this.#deliver(notice.cause, notice.update, notice.decided);
        afterPaint(() => this.#supervisor.post({ kind: 'painted', sequence: notice.sequence }));
        break;
      case 'learned':
        this.#learned = notice.report;
        this.#events.emit('learn', notice.report);
        break;
      case 'snapshot':
        void this.#keeper.keep(notice.bytes, notice.through);
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
    this.#deliver('restart', update, false);
  }

  #deliver(cause: UpdateCause, update: Update, decided: boolean): void {
    const connectionChanged = this.#note(update);
    this.#sequence += 1;
    this.#events.emit('update', { ...update, cause, sequence: this.#sequence });
    if (decided) this.#events.emit('decision', update.decision);
    if (!connectionChanged) return;
    this.#events.emit('offline', update.connection);
    if (update.connection.state === 'online') this.#outbox?.flush();
  }

  /** Remembers the newest state; returns whether the connection is another one now. */
  #note(update: Update): boolean {
    const before = this.#latest?.connection.state ?? update.connection.state;
    this.#latest = update;
    return before !== update.connection.state;
  }
}

function aborted(): LifecycleError {
  return new LifecycleError('aborted', 'opening was aborted by its signal');
}

/** Letters and digits that no other tab has. */
function randomName(): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return [...words].map((word) => word.toString(36)).join('');
}
