import { errorFrom, LifecycleError, type WireError, wireError } from '../shared/errors.js';
import type { HostedModel, ItemId, LearnReport, TrackedEvent } from '../shared/generated.js';
import type { Command, Delivery, Opened, Results } from '../shared/messages.js';
import { CACHE_NAME } from '../shared/names.js';
import type {
  DescribedExplanation,
  DescribedSimilarItem,
  Device,
  DeviceTrial,
  Ledger,
  Recommendations,
  Update,
} from '../shared/update.js';
import type { Notice, WorkerLike } from './channel.js';
import {
  argument,
  attribution,
  flag,
  itemId,
  itemIds,
  optionsOf,
  type TrackableEvent,
  trackedEvent,
} from './check.js';
import { before } from './deadline.js';
import { Emitter } from './emitter.js';
import { LastRequests } from './last-requests.js';
import { DEFAULT_TIMEOUT_MS, openSettings, type RecommenderOptions } from './options.js';
import { PageRequests } from './page-fetch.js';
import { afterPaint } from './paint.js';
import { PersonalData } from './personal-data.js';
import { Placements } from './placements.js';
import {
  type CheckedOptions,
  checkOptions,
  type RecommendOptions,
  selectEnough,
} from './selection.js';
import { EVENT_NAMES, type RecommenderEvents, type RecommenderState } from './state.js';
import { Supervisor } from './supervisor.js';
import { type MissingFeature, missingFeature } from './support.js';
import { randomId } from './tabs.js';
import { Trial } from './trial.js';

/**
 * Recommendations on this page; created by {@link createRecommender}. Calls may overlap; they
 * are carried out in their order. After {@link dispose} every call rejects with a
 * {@link LifecycleError} of code `disposed`.
 */
export class Recommender {
  readonly #options: RecommenderOptions;
  readonly #events = new Emitter<RecommenderEvents>();
  readonly #supervisor: Supervisor;
  readonly #personal: PersonalData;
  readonly #requests: PageRequests | null;
  readonly #lastRequests: LastRequests;
  readonly #trial: Trial;
  readonly #placements = new Placements();
  readonly #onAbort = (): void => this.#end(aborted());
  /** Removes the listeners of the page. */
  readonly #listeners = new AbortController();
  #device: Device = 'cpu';
  #deviceFallback: WireError | null = null;
  #deviceTrial: DeviceTrial | null = null;
  #model: string | null;
  #latest: Update | null = null;
  #sequence = 0;
  #learned: LearnReport | null = null;
  #status: RecommenderState['status'] = 'ready';

  private constructor(spawn: () => WorkerLike, options: RecommenderOptions, base: string) {
    const settings = openSettings(options, base);
    this.#options = options;
    this.#model = settings.model;
    options.signal?.addEventListener('abort', this.#onAbort);
    this.#supervisor = new Supervisor(spawn, settings, {
      notice: (notice) => this.#receive(notice),
      restore: (except) => this.#personal.journal.restore(except),
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
    this.#lastRequests = new LastRequests(() => this.#supervisor.settings, options.fetch);
    this.#personal = new PersonalData(options, settings, {
      call: (command) => this.#call(command),
      sendLast: (path, body, why) => this.#lastRequests.send(path, body, why),
      ready: () => this.#status === 'ready',
      error: (error) => this.#events.emit('error', error),
      consentChanged: (granted) => {
        this.#supervisor.remember({ consent: granted });
        if (!granted) this.#trial.close();
      },
    });
    const own = options.fetch;
    this.#requests =
      own === undefined
        ? null
        : new PageRequests(own, (id, answer) =>
            this.#supervisor.post({ kind: 'fetched', id, answer }),
          );
  }

  /** Whether this browser has module workers and WebAssembly with SIMD. */
  static isSupported(): boolean {
    return Recommender.missingFeature() === null;
  }

  /**
   * The first feature that this browser lacks, or `null` if recommenders can be created. Starts no
   * worker and sends no request.
   */
  static missingFeature(): MissingFeature | null {
    return missingFeature();
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
    if (options?.signal?.aborted) {
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
   * has the whole catalogue and the item is neither in it nor on the candidate list.
   */
  async track(event: TrackableEvent): Promise<Update> {
    const tracked = trackedEvent(event);
    return tracked === 'undo'
      ? (await this.#personal.undo()).update
      : this.#personal.track(tracked, attribution(event));
  }

  /**
   * Reverts the newest click, purchase or dislike and its learning step, and resolves with the
   * event; with `null` if there is none. The last ten events since the page was opened can be
   * reverted. An event that was sent to the server's log stays there.
   */
  async undo(): Promise<TrackedEvent | null> {
    return (await this.#personal.undo()).event;
  }

  /**
   * The current recommendations, ranked on the device. Resolves at once if there are any. Before
   * the first list these are the device's own, such as popular items; the list then arrives with
   * an `update`. Without any, it requests a list and waits for it ({@link RecommendOptions.wait}).
   * `items` is empty only if no list arrives in that time, or if none can be requested now, as
   * after a failure or without a network; `connection` has the cause. With fewer than `k` items in
   * a catalogue in cells, it waits in the same way for further cells.
   */
  async recommend(options: RecommendOptions = {}): Promise<Recommendations> {
    const checked = checkOptions(options);
    const { placement, exclude } = checked;
    if (placement === undefined) return this.#recommend(checked);
    return this.#placements.fill(placement, (others) =>
      this.#recommend({ ...checked, exclude: new Set([...exclude, ...others]) }),
    );
  }

  /** A placement shows nothing any more: other placements may show its items. */
  releasePlacement(name: string): void {
    this.#placements.release(name);
  }

  /**
   * Sets the items that can be recommended, for example those in stock; `null`: all. Applies to
   * the list, to the device's own search and to similar items. Stays on the device, except in a
   * catalogue in cells: if the ranking has fewer items than the search adds (100 by default), the
   * device asks the server for the rows of available items that it lacks, 200 at a time and of each
   * once; the list with them arrives with an `update` of cause `search`.
   */
  async setAvailable(items: Iterable<ItemId | number> | null): Promise<Update> {
    const available = items === null ? null : itemIds('items', items);
    this.#supervisor.remember({ available });
    return this.#call({ type: 'setAvailable', items: available });
  }

  /**
   * Sets the items that are never recommended. With `send`, requests for lists name them, up to
   * 10,000 with the visitor's own dislikes, so that the list does not contain them; the server
   * then learns which items they are.
   */
  async setExcluded(
    items: Iterable<ItemId | number>,
    options: { send?: boolean } = {},
  ): Promise<Update> {
    const { send = false } = optionsOf('setExcluded', options, ['send'], '{ send: true }');
    const excluded = { items: itemIds('items', items), send };
    this.#supervisor.remember({ excluded });
    return this.#call({ type: 'setExcluded', excluded });
  }

  /** Why an item has its rank, counted from 0; `null` if it is not recommended. No network. */
  async explain(item: ItemId | number): Promise<DescribedExplanation | null> {
    return this.#call({ type: 'explain', item: itemId('item', item) });
  }

  /**
   * The most similar items by the small model, best first, among the items whose rows are on
   * the device: the whole catalogue if the item table was loaded, else the items of downloaded
   * cells, lists and history. `null` if this item's own row is not on the device. With
   * their titles and fields where {@link recommend} has them. No network.
   */
  async similar(
    item: ItemId | number,
    options: { k?: number } = {},
  ): Promise<DescribedSimilarItem[] | null> {
    const { k = 10 } = optionsOf('similar', options, ['k'], '{ k: 10 }');
    if (!(Number.isInteger(k) && k > 0)) throw argument('k', 'an integer from 1', k);
    return this.#call({ type: 'similar', item: itemId('item', item), k });
  }

  /**
   * Disagreement of the small model with the page's own order of items, 0 to 1; `null` without
   * a history or with fewer than two known items. Only in shadow mode, the number is sent to
   * the server, rounded to two digits.
   */
  async compare(items: Iterable<ItemId | number>): Promise<number | null> {
    return this.#call({ type: 'compare', items: itemIds('items', items) });
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
    flag('offline', offline);
    this.#supervisor.remember({ offline });
    await this.#call({ type: 'setOffline', offline });
    if (!offline) this.#personal.outbox?.flush();
  }

  /**
   * Grants or withdraws the visitor's consent to storage on this device. With consent, session,
   * personal delta and the model's files outlive the page. A withdrawal deletes them and the
   * events that are queued for the server, and the session continues in memory. Events are sent
   * again only after a new consent, also on later pages. A refusal (`false` without an earlier
   * consent) stops events in the same way.
   */
  async setConsent(granted: boolean): Promise<void> {
    flag('granted', granted);
    if (granted && this.#personal.consent) return;
    await this.#personal.setConsent(granted);
    if (!granted) await Recommender.clearCache();
  }

  /** Deletes the session and the personal delta, on the device and in memory. */
  async reset(): Promise<void> {
    await this.#personal.reset();
    this.#learned = null;
  }

  /**
   * Session and personal delta as bytes that {@link importPersonalData} takes. They are JSON. The
   * field `visitor` is the name under which events are logged, if there is one: the site can
   * delete them by it. An import does not take the name over.
   */
  exportPersonalData(): Promise<Uint8Array> {
    return this.#personal.export();
  }

  /**
   * Replaces the session by an exported one. Rejects, and changes nothing, if the bytes are
   * no export or damaged (`invalid_artifact`), or belong to another model.
   */
  async importPersonalData(bytes: Uint8Array): Promise<void> {
    if (!(bytes instanceof Uint8Array)) throw argument('bytes', 'a Uint8Array', bytes);
    return this.#personal.import(bytes);
  }

  /** All requests since the recommender was opened, with their time, address, purpose and body. */
  async ledger(): Promise<Ledger> {
    return this.#lastRequests.joined(await this.#call({ type: 'ledger' }));
  }

  /** The current state, without a call to the worker. */
  state(): RecommenderState {
    const latest = this.#latest;
    if (latest === null) {
      const message = 'the recommender is not open yet: await createRecommender first';
      throw errorFrom(wireError('not_ready', message));
    }
    return {
      status: this.#status,
      device: this.#device,
      deviceFallback: this.#deviceFallback,
      deviceTrial: this.#deviceTrial,
      consent: this.#personal.consent,
      storage: this.#personal.storage,
      storageFault: this.#personal.fault,
      visitor: this.#personal.visitor,
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
    if (!EVENT_NAMES.includes(name)) throw argument('name', EVENT_NAMES.join(', '), name);
    if (typeof listener !== 'function') throw argument('listener', 'a function', listener);
    return this.#events.on(name, listener);
  }

  /** Ends the worker and frees its memory. May be called twice. */
  dispose(): void {
    this.#end();
  }

  async #open(): Promise<void> {
    const { consent, journal, outbox } = this.#personal;
    const restore = consent ? journal.restore() : Promise.resolve(null);
    const opened = await this.#supervisor.open(restore);
    this.#device = opened.device;
    this.#deviceFallback = opened.fallback;
    this.#deviceTrial = opened.trial;
    this.#latest ??= opened.update;
    if (consent) this.#personal.joinTabs();
    this.#listen();
    // Events that an earlier visit could not send.
    outbox?.flush();
  }

  async #recommend(options: CheckedOptions): Promise<Recommendations> {
    const { timeoutMs } = this.#supervisor.settings;
    const waitMs = options.wait ?? timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const end = performance.now() + waitMs;
    const { arrivals, update } = await this.#call({ type: 'recommend', waitMs });
    const connectionChanged = this.#note(update);
    this.#events.emit('decision', update.decision);
    if (connectionChanged) this.#events.emit('offline', update.connection);
    const items = await selectEnough({ ...update, arrivals }, options, {
      deeper: (k) => this.#call({ type: 'deeper', k }),
      further: (known) => before(end, () => this.#call({ type: 'further', arrivals: known })),
      neighbours: (item, k) => this.#call({ type: 'similar', item, k }),
    });
    return { ...update, items, recommendation: randomId() };
  }

  #call<C extends Command>(command: C): Promise<Results[C['type']]> {
    return this.#supervisor.call(command);
  }

  #listen(): void {
    if (typeof window === 'undefined') return;
    const { signal } = this.#listeners;
    const { outbox } = this.#personal;
    window.addEventListener('online', () => this.#online(), { signal });
    // Phones often end a hidden page without another event.
    document.addEventListener(
      'visibilitychange',
      () => {
        if (document.visibilityState === 'hidden') outbox?.sendLast(false);
      },
      { signal },
    );
    window.addEventListener(
      'pagehide',
      () => {
        outbox?.sendLast(true);
        this.#supervisor.rest(true);
      },
      { signal },
    );
    window.addEventListener(
      'pageshow',
      ({ persisted }) => {
        if (!persisted) return;
        this.#supervisor.rest(false);
        outbox?.flush();
      },
      { signal },
    );
  }

  /** The browser reports a network again: the server is tried at once. */
  #online(): void {
    this.#personal.outbox?.flush();
    if (this.#latest?.connection.state === 'failing') {
      this.#call({ type: 'setOffline', offline: false }).catch(() => undefined);
    }
  }

  #end(reason = new LifecycleError('disposed', 'the recommender was disposed of')): void {
    this.#status = 'disposed';
    // The signal may outlive this recommender and must not keep it in memory.
    this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#listeners.abort();
    this.#supervisor.close(reason);
    this.#trial.close();
    this.#personal.close();
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
        void this.#personal.journal.keep(notice.bytes, notice.through);
        if (this.#personal.consent && this.#latest?.items.length) this.#trial.offer(notice.bytes);
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
    if (update.connection.state === 'online') this.#personal.outbox?.flush();
  }

  /** Stores the newest state; returns whether the state of the connection changed. */
  #note(update: Update): boolean {
    const before = this.#latest?.connection.state ?? update.connection.state;
    this.#latest = update;
    return before !== update.connection.state;
  }
}

function aborted(): LifecycleError {
  return new LifecycleError('aborted', 'opening was aborted by its signal');
}
