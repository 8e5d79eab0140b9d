import { toWire, type WireError } from '../shared/errors.js';
import type {
  Command,
  Opened,
  OpenSettings,
  Restore,
  Results,
  ToPage,
  ToWorker,
} from '../shared/messages.js';
import type { HostedModel, TrackedEvent, Update, UpdateCause } from '../shared/update.js';
import { Asking } from './asking.js';
import { FileCache } from './cache.js';
import { trialDue } from './choice.js';
import type { Client, Engine, EngineLoader } from './engine.js';
import { Learning } from './learning.js';
import { LedgerBook } from './ledger.js';
import { Network, ownFetch, type Reply } from './network.js';
import { PageFetcher } from './page-fetch.js';
import { JobQueue } from './queue.js';
import { tryDevices } from './trial.js';

/** Where the host's messages go: a worker's global scope, or a test's port. */
export interface Port {
  postMessage(message: ToPage, transfer?: ArrayBuffer[]): void;
}

/** A server whose lists are of another catalogue than its manifest is not followed for ever. */
const REOPEN_PAUSE_MS = 60_000;
/** How long the server may take for what is not a list, in milliseconds. */
const SEND_TIMEOUT_MS = 20_000;

/**
 * The worker's side of a recommender: owns the one client and enters it one call at a time.
 * {@link Asking} calls the cloud, {@link Learning} learns.
 */
export class Host {
  readonly #port: Port;
  readonly #load: EngineLoader;
  readonly #queue = new JobQueue();
  readonly #ledger = new LedgerBook();
  readonly #pageFetcher: PageFetcher;
  readonly #asking: Asking;
  readonly #learning: Learning;
  #settings: OpenSettings | null = null;
  #network: Network | null = null;
  #cache: FileCache | null = null;
  #engine: Engine | null = null;
  #client: Client | null = null;
  #offline = false;
  #model: string | null = null;
  #reopened = Number.NEGATIVE_INFINITY;

  constructor(port: Port, load: EngineLoader) {
    this.#port = port;
    this.#load = load;
    this.#pageFetcher = new PageFetcher((notice) => port.postMessage(notice));
    this.#learning = new Learning(port, this.#queue, () => this.#opened());
    this.#asking = new Asking({
      enter: (job) => this.#enter(job),
      answered: (update, decided) => this.#answered(update, decided),
      retry: () => this.#enter(async (client) => this.#publish('retry', await client.recommend())),
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
      case 'fetched':
        this.#pageFetcher.answer(message.id, message.answer);
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
        return this.#queue.run(() => this.#open(command.settings, command.restore));
      case 'track':
        return this.#enter(async (client) => {
          const update = await client.track(command.event);
          this.#tracked(command.id, command.event);
          return this.#publish(command.tab ? 'tab' : 'event', update);
        });
      case 'undo':
        return this.#enter(async (client) => {
          const undone = await client.undo();
          this.#learning.changed();
          if (undone.event !== null) this.#publish('undo', undone.update);
          return undone;
        });
      case 'recommend':
        return this.#enter(async (client) => this.#follow(await client.recommend()));
      case 'explain':
        return this.#enter((client) => client.explain(command.item));
      case 'similar':
        return this.#enter((client) => client.similar(command.item, command.k));
      case 'compare':
        return this.#compare(command.items);
      case 'models':
        return this.#models();
      case 'useModel':
        return this.#useModel(command.name);
      case 'setOffline':
        this.#offline = command.offline;
        this.#abort();
        return this.#enter(async (client) => {
          this.#asking.cancelRetry();
          client.setOffline(command.offline);
          return this.#publish('connection', await client.recommend());
        });
      case 'setConsent':
        return this.#setConsent(command.granted);
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
          this.#asking.drop();
          this.#replaceSession();
          return this.#publish('import', update);
        });
      case 'restore':
        this.#abort();
        return this.#enter(async (client) => {
          this.#replaceSession();
          await client.reset();
          await this.#restore(client, command.restore);
          return this.#publish('tab', await client.recommend());
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

  async #open(settings: OpenSettings, restore: Restore | null): Promise<Opened> {
    if (settings.lock !== null) this.#holdLock(settings.lock);
    this.#settings = settings;
    this.#model = settings.model;
    this.#cache = new FileCache(settings.consent, (error) => this.#fault(error));
    const fetcher = settings.pageFetch ? this.#pageFetcher.fetch : ownFetch;
    this.#network = new Network(fetcher, this.#cache, this.#ledger, settings.key);
    this.#engine = await this.#load(settings, {
      network: this.#network,
      cache: this.#cache,
      onProgress: (progress) => this.#port.postMessage({ kind: 'progress', progress }),
    });
    const { client, device, fallback, trial } = this.#engine;
    this.#client = client;
    this.#offline = settings.offline;
    if (this.#offline) client.setOffline(true);
    if (this.#model !== null) await client.chooseModel(this.#model);
    if (restore !== null) await this.#restore(client, restore);
    return { device, fallback, trial, update: await client.recommend() };
  }

  /** Held until this worker ends, however it does: the page waits for it. */
  #holdLock(name: string): void {
    const held = navigator.locks.request(name, () => {
      this.#port.postMessage({ kind: 'alive' });
      return new Promise(() => undefined);
    });
    held.catch(() => undefined);
  }

  /** Takes up a session. One that cannot be read is told and left behind. */
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
    this.#asking.noteEvent();
    this.#learning.tracked(id, type === 'click' || type === 'purchase');
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
    const sequence = this.#learning.nextSequence();
    this.#port.postMessage({ kind: 'update', sequence, cause, update, decided });
  }

  #follow(update: Update): Update {
    if (this.#settings?.shadow !== true) this.#asking.follow(update);
    return update;
  }

  #answered(update: Update, decided: boolean): void {
    this.#show('request', update, decided);
    this.#learning.changed();
    if (update.connection.code === 'catalogue_changed') this.#reopenSoon();
  }

  /** The server has another catalogue: loads its model and goes on with the history. */
  #reopenSoon(): void {
    if (performance.now() - this.#reopened < REOPEN_PAUSE_MS) return;
    this.#reopened = performance.now();
    this.#enter(async (old) => {
      const bytes = old.exportPersonal().slice();
      const next = (await this.#engine?.reopen()) ?? old;
      if (next === old) return;
      if (this.#model !== null) await next.chooseModel(this.#model);
      await next.restorePersonal(bytes);
      if (this.#offline) next.setOffline(true);
      this.#client = next;
      this.#asking.drop();
      this.#replaceSession();
      old.free();
      this.#publish('catalogue', await next.recommend());
    }).catch((error: unknown) => this.#fault(error));
  }

  async #useModel(name: string | null): Promise<Update> {
    this.#abort();
    return this.#enter(async (client) => {
      await client.chooseModel(name ?? undefined);
      this.#model = name;
      this.#asking.cancelRetry();
      this.#asking.want(`the page chose ${name === null ? 'the server’s language model' : name}`);
      return this.#publish('model', await client.recommend());
    });
  }

  async #models(): Promise<HostedModel[]> {
    const reply = await this.#request('/v1/models', undefined, 'which language models there are');
    const models = modelsOf(new TextDecoder().decode(reply.body));
    if (models === null) {
      throw wireError('bad_response', 'expected a list of models at /v1/models');
    }
    return models;
  }

  async #compare(items: string[]): Promise<number | null> {
    const apart = await this.#enter((client) => client.compare(items));
    if (apart === null || this.#settings?.shadow !== true) return apart;
    // Two digits: enough for a mean over visitors, and no fingerprint of this one.
    const disagreement = Math.round(apart * 100) / 100;
    if (!this.#offline) {
      await this.#send('/v1/disagreements', JSON.stringify({ disagreement }), 'shadow mode');
    }
    return apart;
  }

  async #send(path: string, body: string, why: string): Promise<null> {
    await this.#request(path, body, why);
    return null;
  }

  /** A request beside those for lists; rejects unless it is answered with success. */
  async #request(path: string, body: string | undefined, why: string): Promise<Reply> {
    if (this.#network === null || this.#settings === null) this.#opened();
    if (this.#offline) throw wireError('unreachable', 'offline, as the page wished');
    const url = `${this.#settings?.server}${path}`;
    const timeoutMs = SEND_TIMEOUT_MS;
    const reply = await (this.#network as Network).request({ url, body, timeoutMs, why });
    if (reply.status < 200 || reply.status > 299) throw refusal(path, reply);
    return reply;
  }

  async #setConsent(granted: boolean): Promise<null> {
    this.#cache?.allow(granted);
    // What is kept already goes with the consent; the page sees to that.
    if (granted) {
      await this.#engine?.keepFiles().catch((error: unknown) => this.#fault(error));
    }
    return null;
  }

  /** What was owed to the old session is not done to the new one. */
  #replaceSession(): void {
    this.#learning.forget();
    this.#asking.cancelRetry();
  }

  #abort(): void {
    this.#asking.abort(() => {
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

/** The models of an answer; `null` if it is none. */
function modelsOf(text: string): HostedModel[] | null {
  try {
    const { models } = JSON.parse(text) as { models?: HostedModel[] };
    return Array.isArray(models) ? models : null;
  } catch {
    return null;
  }
}

/** What a status means for a request beside those for lists. */
function refusal(path: string, { status, body }: Reply): WireError {
  let detail = 'the server gave no reason';
  try {
    const problem = JSON.parse(new TextDecoder().decode(body)) as { detail?: unknown };
    if (typeof problem.detail === 'string') detail = problem.detail;
  } catch {
    // No problem document: the status has to do.
  }
  const code: WireError['code'] =
    status === 404
      ? 'not_found'
      : status === 429 || status === 503
        ? 'overloaded'
        : status >= 500
          ? 'internal'
          : 'bad_response';
  return wireError(code, `${path} was answered with status ${status}: ${detail}`);
}

function wireError(code: WireError['code'], message: string): WireError {
  return { code, message };
}
