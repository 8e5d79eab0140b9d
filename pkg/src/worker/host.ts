import { toWire, wireError } from '../shared/errors.js';
import type { ClientUpdate, ConnectionState, Fetched, TrackedEvent } from '../shared/generated.js';
import { Ledger } from '../shared/ledger.js';
import type {
  Command,
  Delivery,
  OpenSettings,
  Restore,
  ToPage,
  ToWorker,
} from '../shared/messages.js';
import type { UpdateCause } from '../shared/update.js';
import { FileCache } from './cache.js';
import { CandidateRequester } from './candidate-requester.js';
import { Catalogue, unknownItems } from './catalogue.js';
import { trialDue } from './choice.js';
import type { Client, Engine, EngineLoader } from './engine.js';
import { Learning } from './learning.js';
import { LifeLock } from './life-lock.js';
import { MissingFiles } from './missing-files.js';
import { canMakeLists, checkModel, hostedModels } from './models.js';
import { Network, ownFetch } from './network.js';
import { PageFetcher } from './page-fetch.js';
import { JobQueue } from './queue.js';
import { tryDevices } from './trial.js';
import { within } from './within.js';

/** Receiver of the host's messages: the worker's global scope, or a port in tests. */
export interface Port {
  postMessage(message: ToPage, transfer?: ArrayBuffer[]): void;
}

/**
 * Shortest time between two reloads of the catalogue, so that a server whose lists contradict
 * its manifest does not cause an endless loop.
 */
const REOPEN_PAUSE_MS = 60_000;

/** The result of a command has been posted already, with an update. */
const POSTED = Symbol('posted');

/**
 * The worker's side of a recommender. Owns the client and makes one call to it at a time.
 * {@link CandidateRequester} requests lists, {@link Learning} learns.
 */
export class Host {
  readonly #port: Port;
  readonly #load: EngineLoader;
  readonly #queue = new JobQueue();
  readonly #ledger = new Ledger();
  readonly #pageFetcher: PageFetcher;
  readonly #requester: CandidateRequester;
  readonly #learning: Learning;
  readonly #missing: MissingFiles;
  readonly #lock: LifeLock;
  readonly #catalogue = new Catalogue();
  #settings: OpenSettings | null = null;
  #cache: FileCache | null = null;
  #engine: Engine | null = null;
  #client: Client | null = null;
  #offline = false;
  /** State of the connection that the page knows. */
  #shown: ConnectionState = 'online';
  #model: string | null = null;
  #reopened = Number.NEGATIVE_INFINITY;

  constructor(port: Port, load: EngineLoader) {
    this.#port = port;
    this.#load = load;
    this.#pageFetcher = new PageFetcher((notice) => port.postMessage(notice));
    this.#lock = new LifeLock(() => port.postMessage({ kind: 'alive' }));
    this.#learning = new Learning(port, this.#queue, () => this.#opened());
    this.#missing = new MissingFiles({
      client: () => (this.#settings?.shadow === true ? null : this.#client),
      arrived: (fetched, current) => this.#arrived(fetched, current),
      fault: (error) => this.#fault(error),
    });
    this.#requester = new CandidateRequester({
      enter: (job) => this.#enter(job),
      answered: (update, decided) => this.#answered(update, decided),
      retry: () =>
        this.#enter(async (client) => this.#publish('retry', await client.recommend(), null)),
      reachable: () => canMakeLists(this.#opened(), this.#model),
      probed: (reached, current) =>
        this.#enter(async (client) => {
          if (!current() || this.#offline) return;
          // The only way to tell the session that the failure is over.
          if (reached) client.setOffline(false);
          this.#publish('retry', await client.recommend(), null);
        }),
      fault: (error) => this.#fault(error),
    });
  }

  /** Takes a message of the page; never throws. */
  receive(message: ToWorker): void {
    switch (message.kind) {
      case 'call':
        void this.#answer(message.id, message.command);
        break;
      case 'painted':
        this.#learning.painted(message.sequence);
        break;
      case 'lock':
        this.#lock.hold(message.held);
        break;
      case 'fetched':
        this.#pageFetcher.answer(message.id, message.answer);
        break;
    }
  }

  async #answer(id: number, command: Command): Promise<void> {
    try {
      const value = await this.#carryOut(id, command);
      if (value === POSTED) return;
      const transfer = value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : [];
      this.#port.postMessage({ kind: 'result', id, value }, transfer);
    } catch (error) {
      this.#port.postMessage({ kind: 'failure', id, error: toWire(error) });
    }
  }

  #carryOut(id: number, command: Command): Promise<unknown> {
    switch (command.type) {
      case 'open':
        return this.#queue.run(() => this.#open(id, command.settings, command.restore));
      case 'track':
        return this.#enter(async (client) => {
          const update = await client.track(command.event);
          this.#tracked(command.id, command.event);
          return this.#publish(command.tab ? 'tab' : 'event', update, id);
        });
      case 'undo':
        return this.#enter(async (client) => {
          const { event, update } = await client.undo();
          this.#learning.changed();
          if (event === null) return this.#post(update, { id, value: { event } }, null);
          return this.#publish('undo', update, id, { event });
        });
      case 'recommend':
        return this.#recommend(id, command.waitMs);
      case 'deeper':
        return this.#described(
          id,
          (client) => this.#missing.rank(() => client.rankDeeper(command.k)),
          ({ items }) => items,
        );
      case 'further':
        return this.#missing.fetchFurther(command.arrivals);
      case 'setAvailable':
        this.#remember({ available: command.items });
        return this.#enter(async (client) =>
          this.#publish('stock', await client.setAvailable(command.items ?? undefined), id),
        );
      case 'setExcluded':
        this.#remember({ excluded: command.excluded });
        return this.#enter(async (client) => {
          const { items, send } = command.excluded;
          return this.#publish('stock', await client.setExcluded(items, send), id);
        });
      case 'explain':
        return this.#described(
          id,
          (client) => client.explain(command.item),
          (found) => [found.item],
        );
      case 'similar':
        return this.#described(
          id,
          (client) => client.similar(command.item, command.k),
          (found) => found,
        );
      case 'compare':
        return this.#compare(command.items);
      case 'models':
        return hostedModels(this.#opened());
      case 'useModel':
        return this.#selectModel(id, command.name);
      case 'setOffline':
        this.#offline = command.offline;
        this.#abort();
        return this.#enter(async (client) => {
          this.#requester.cancelRetry();
          client.setOffline(command.offline);
          return this.#publish('connection', await client.recommend(), id);
        });
      case 'setConsent':
        return this.#setConsent(command.granted);
      case 'reset':
        this.#abort();
        return this.#enter(async (client) => {
          this.#replaceSession();
          return this.#publish('reset', await client.reset(), id);
        });
      case 'export':
        // A copy: the client's bytes may be a view of WebAssembly memory.
        return this.#enter((client) => client.exportPersonal().slice());
      case 'import':
        return this.#enter(async (client) => {
          const update = await client.importPersonal(command.bytes);
          // Not earlier: a refused import must not affect the request in flight. The client
          // has aborted it itself.
          this.#requester.drop();
          this.#replaceSession();
          return this.#publish('import', update, id);
        });
      case 'restore':
        this.#abort();
        return this.#enter(async (client) => {
          this.#replaceSession();
          await client.reset();
          await this.#restore(client, command.restore);
          return this.#publish('tab', await client.recommend(), id);
        });
      case 'send':
        return this.#send(command.path, command.body, command.why);
      case 'ledger':
        return Promise.resolve(this.#ledger.read());
      case 'trialDue':
        return trialDue(this.#settings, this.#cache);
      case 'trial':
        return tryDevices(this.#load, command.settings, command.snapshot);
    }
  }

  async #open(id: number, settings: OpenSettings, restore: Restore | null): Promise<unknown> {
    this.#lock.open(settings.lock);
    this.#settings = settings;
    this.#model = settings.model;
    this.#cache = new FileCache(settings.consent, (error) => this.#fault(error));
    const fetcher = settings.pageFetch ? this.#pageFetcher.fetch : ownFetch;
    this.#engine = await this.#load(settings, {
      network: new Network(fetcher, this.#cache, this.#ledger, settings.key, {
        onItems: (file) => this.#catalogue.take(file),
        onUnknown: (items) => this.#fault(unknownItems(items)),
      }),
      cache: this.#cache,
      onProgress: (progress) => this.#port.postMessage({ kind: 'progress', progress }),
    });
    const { client, device, fallback, trial } = this.#engine;
    this.#client = client;
    this.#offline = settings.offline;
    await this.#prepare(client);
    if (restore !== null) await this.#restore(client, restore);
    const value = { device, fallback, trial };
    this.#post(await client.recommend(), { id, value }, null);
    this.#missing.fetch();
    return POSTED;
  }

  /** Applies the choices of the page to a new client. */
  async #prepare(client: Client): Promise<void> {
    if (this.#offline) client.setOffline(true);
    if (this.#model !== null) await client.chooseModel(this.#model);
    const { available = null, excluded } = this.#settings ?? {};
    if (available !== null) await client.setAvailable(available);
    if (excluded !== undefined && excluded.items.length > 0) {
      await client.setExcluded(excluded.items, excluded.send);
    }
  }

  #remember(changes: Partial<OpenSettings>): void {
    if (this.#settings !== null) this.#settings = { ...this.#settings, ...changes };
  }

  /** Restores a session. A snapshot that cannot be read is reported and skipped. */
  async #restore(client: Client, { snapshot, events }: Restore): Promise<void> {
    if (snapshot !== null) {
      try {
        await client.restorePersonal(snapshot);
      } catch (error) {
        this.#fault(error);
      }
    }
    if (events.length === 0) return;
    await client.replay(events.map(({ event }) => event));
    for (const { id, event } of events) this.#tracked(id, event);
  }

  #tracked(id: number, { type }: TrackedEvent): void {
    this.#requester.noteEvent();
    this.#learning.tracked(id, type === 'click' || type === 'purchase');
  }

  #enter<T>(job: (client: Client) => T | Promise<T>): Promise<T> {
    return this.#queue.run(() => job(this.#opened()));
  }

  #opened(): Client {
    if (this.#client === null) {
      throw wireError('not_ready', 'the session is not open yet: call open first');
    }
    return this.#client;
  }

  /**
   * Posts an update to the listeners of the page and, with `id`, as the result of a call. Then
   * acts on its decision.
   */
  #publish(
    cause: UpdateCause,
    update: ClientUpdate,
    id: number | null,
    value: unknown = null,
  ): typeof POSTED {
    const delivery = this.#delivery(cause, true);
    this.#post(update, id === null ? null : { id, value }, delivery);
    this.#follow(update);
    this.#missing.fetch();
    return POSTED;
  }

  #delivery(cause: UpdateCause, decided: boolean): Delivery {
    return { sequence: this.#learning.nextSequence(), cause, decided };
  }

  /** Posts an update, once; its history as the change since the last one that was posted. */
  #post(
    update: ClientUpdate,
    call: { id: number; value: unknown } | null,
    delivery: Delivery | null,
  ): typeof POSTED {
    const connection = this.#requester.connection(update.connection);
    this.#shown = connection.state;
    const sent = { ...update, connection, history: this.#opened().historyChange() };
    const described = this.#catalogue.describe(update.items);
    if (call !== null) {
      const delivered = delivery === null ? {} : { delivery };
      this.#port.postMessage({ kind: 'result', ...call, update: sent, described, ...delivered });
    } else if (delivery !== null) {
      this.#port.postMessage({ kind: 'update', update: sent, described, delivery });
    }
    return POSTED;
  }

  /** Posts the result of a call with the descriptions of its items. */
  async #described<T>(
    id: number,
    job: (client: Client) => Promise<T | null>,
    itemsOf: (value: T) => readonly { item: string }[],
  ): Promise<unknown> {
    const value = await this.#enter(job);
    const described = value === null ? [] : this.#catalogue.describe(itemsOf(value));
    this.#port.postMessage({ kind: 'result', id, value, described });
    return POSTED;
  }

  #follow(update: ClientUpdate): void {
    if (this.#settings?.shadow !== true) this.#requester.follow(update);
  }

  /** Publishes the new ranking with rows and cells that were missing. */
  #arrived({ update, rows, errors, failed }: Fetched, current: boolean): void {
    for (const error of errors) {
      if (error.code !== 'catalogue_changed') this.#fault(error);
      else if (current) this.#reopenSoon();
    }
    if (failed && current && update === null) this.#showConnection();
    if (update === null || !current) return;
    if (rows) this.#learning.rowsArrived();
    this.#post(update, null, this.#delivery('search', true));
    this.#follow(update);
  }

  /** A request other than for a list did not reach the server: shows it, if it is news. */
  #showConnection(): void {
    this.#enter(async (client) => {
      const update = await client.recommend();
      if (update.connection.state === this.#shown) return;
      this.#post(update, null, this.#delivery('connection', true));
      this.#follow(update);
    }).catch((error: unknown) => this.#fault(error));
  }

  #answered(update: ClientUpdate, decided: boolean): void {
    this.#post(update, null, this.#delivery('request', decided));
    this.#learning.changed();
    if (update.connection.code === 'catalogue_changed') this.#reopenSoon();
  }

  /** Ranks again. Without anything to rank it waits for a list that is in flight. */
  async #recommend(id: number, waitMs: number): Promise<unknown> {
    const waiting = await this.#enter(async (client) => {
      const { arrivals, ...update } = await this.#missing.rank(() => client.recommend());
      this.#follow(update);
      const { pending } = this.#requester;
      if (update.items.length > 0 || pending === null || waitMs === 0) {
        this.#post(update, { id, value: { arrivals } }, null);
        return null;
      }
      // Wrapped in an object, because the queue would wait for a bare promise.
      return { pending };
    });
    if (waiting === null) return POSTED;
    await within(waitMs, waiting.pending);
    return this.#enter(async (client) => {
      const { arrivals, ...update } = await this.#missing.rank(() => client.recommend());
      return this.#post(update, { id, value: { arrivals } }, null);
    });
  }

  /** The server has another catalogue: loads its model and continues with the history. */
  #reopenSoon(): void {
    if (performance.now() - this.#reopened < REOPEN_PAUSE_MS) return;
    this.#reopened = performance.now();
    this.#enter(async (old) => {
      const bytes = old.exportPersonal().slice();
      const next = (await this.#engine?.reopen()) ?? old;
      if (next === old) return;
      await this.#prepare(next);
      await next.restorePersonal(bytes);
      this.#client = next;
      this.#requester.drop();
      this.#replaceSession();
      old.free();
      this.#publish('catalogue', await next.recommend(), null);
    }).catch((error: unknown) => this.#fault(error));
  }

  async #selectModel(id: number, name: string | null): Promise<unknown> {
    if (name !== null) await checkModel(this.#opened(), name);
    this.#abort();
    return this.#enter(async (client) => {
      await client.chooseModel(name ?? undefined);
      this.#model = name;
      this.#requester.cancelRetry();
      this.#requester.want(
        `the page selected ${name === null ? 'the server’s default language model' : name}`,
      );
      return this.#publish('model', await client.recommend(), id);
    });
  }

  async #compare(items: string[]): Promise<number | null> {
    const disagreement = await this.#enter((client) => client.compare(items));
    if (disagreement === null || this.#settings?.shadow !== true) return disagreement;
    // Two digits: enough for a mean over visitors, and no fingerprint of one.
    const body = JSON.stringify({ disagreement: Math.round(disagreement * 100) / 100 });
    if (!this.#offline) await this.#request('/v1/disagreements', body, 'shadow mode');
    return disagreement;
  }

  /** A request other than those for lists. May be pending while the client is called. */
  #request(path: string, body: string | undefined, why: string): Promise<string> {
    return this.#opened().request(path, body, why);
  }

  /** Sends what the page has for the server, such as events. */
  async #send(path: string, body: string, why: string): Promise<null> {
    try {
      await this.#request(path, body, why);
    } catch (error) {
      const { code } = toWire(error);
      const unreached = code === 'unreachable' || code === 'timeout';
      if (unreached && !this.#offline && this.#shown === 'online') this.#showConnection();
      throw error;
    }
    return null;
  }

  async #setConsent(granted: boolean): Promise<null> {
    this.#cache?.allow(granted);
    // After a withdrawal the page deletes what is stored.
    if (granted) {
      await this.#engine?.keepFiles().catch((error: unknown) => this.#fault(error));
    }
    return null;
  }

  /** Pending learning and retries belong to the old session. */
  #replaceSession(): void {
    this.#learning.forget();
    this.#requester.cancelRetry();
  }

  #abort(): void {
    this.#requester.abort(() => {
      try {
        this.#client?.abort();
      } catch (error) {
        this.#fault(error);
      }
    });
  }

  #fault(error: unknown): void {
    this.#port.postMessage({ kind: 'fault', error: toWire(error) });
  }
}
