/** A scripted client, and a worker in the thread of the test. */
import { setMaxListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { vi } from 'vitest';
import type { WorkerLike } from '../src/page/channel.js';
import type { RecommenderOptions } from '../src/page/options.js';
import { Recommender } from '../src/page/recommender.js';
import type {
  ClientUpdate,
  Connection,
  Decision,
  Deeper,
  Fetched,
  HistoryChange,
  LearnReport,
  RankedItem,
  TrackedEvent,
} from '../src/shared/generated.js';
import type { ToPage, ToWorker } from '../src/shared/messages.js';
import type { Client, Engine, EngineLoader } from '../src/worker/engine.js';
import { Host } from '../src/worker/host.js';
import type { Network } from '../src/worker/network.js';

export const online: Connection = { state: 'online', code: null, message: null, retryInMs: null };
export const keep: Decision = {
  action: 'keep',
  code: 'rankings_agree',
  reason: 'rankings agree',
  disagreement: 0.2,
  threshold: 0.6,
  waitMs: null,
};
export const request: Decision = { ...keep, action: 'request', code: 'no_candidates' };

/** An item of a list of four. */
export function ranked(item: string, rank: number): RankedItem {
  return {
    item,
    score: -rank,
    listed: true,
    llmRank: rank,
    srmRank: 3 - rank,
    logprob: -1 - rank,
    srmScore: rank,
  };
}

/** An update after events with these items. */
export function update(history: string[] = [], changes: Partial<ClientUpdate> = {}): ClientUpdate {
  return {
    items: ['a', 'b', 'c', 'd'].map(ranked),
    searched: false,
    exhausted: true,
    decision: keep,
    ranking: 'language_model',
    model: 'test',
    connection: online,
    stats: {
      clicks: history.length,
      calls: 0,
      failedCalls: 0,
      bytesUp: 0,
      bytesDown: 0,
      listAgeMs: 0,
      clicksSinceList: 0,
      learnSteps: 0,
      nonFinite: 0,
    },
    timings: { rerankMs: 1, requestMs: null, serverMs: null },
    ...changes,
  };
}

/** A promise that the test settles. */
export interface Held<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export function held<T>(): Held<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Replaces the WebAssembly client: records its calls, and counts calls that overlap. */
export class FakeClient implements Client {
  readonly calls: string[] = [];
  overlaps = 0;
  decision: Decision = keep;
  connection: Connection = online;
  history: string[] = [];
  requests: Held<ClientUpdate>[] = [];
  /** The purpose of each. */
  reasons: string[] = [];
  aborted = 0;
  /** Calls that last until the test ends them, by their entry in `calls`. */
  readonly slow = new Map<string, Promise<void>>();
  /** The list; `null`: the default of four items. */
  items: ClientUpdate['items'] | null = null;
  learnFails: unknown = null;
  exhausted = true;
  /** All items, best first, for longer rankings. */
  catalogue: string[] = ['a', 'b', 'c', 'd'];
  /** Results of the next calls of {@link fetchMissing}. */
  missing: Held<Fetched>[] = [];
  fetches = 0;
  /** Items that each of the next calls of {@link fetchFurther} adds to the catalogue. */
  further: string[][] = [];
  /** The network and server of {@link request}. */
  network: { network: Network; server: string } | null = null;
  /** Pending learning steps. */
  #waiting = 0;

  #steps = 0;
  #inside = 0;

  track({ type, item }: TrackedEvent): Promise<ClientUpdate> {
    return this.#one(`track ${item}`, () => {
      if (item === 'trap') throw new WebAssembly.RuntimeError('unreachable executed');
      if (item === 'broken') throw new Error('a bug');
      if (item === 'refused') throw { code: 'unknown_item', message: 'no such item' };
      this.history.push(item);
      if (type === 'click' || type === 'purchase') this.#waiting += 1;
      return this.#now();
    });
  }

  recommend(): Promise<ClientUpdate> {
    return this.#one('recommend', () => this.#now());
  }

  replay(events: TrackedEvent[]): Promise<ClientUpdate> {
    return this.#one(`replay ${events.map(({ item }) => item)}`, () => {
      this.history.push(...events.map(({ item }) => item));
      return this.#now();
    });
  }

  undo(): ReturnType<Client['undo']> {
    return this.#one('undo', () => {
      const item = this.history.pop();
      const event: TrackedEvent | null = item === undefined ? null : { type: 'click', item };
      return { event, update: this.#now() };
    });
  }

  rankDeeper(k: number): Promise<Deeper> {
    return this.#one(`deeper ${k}`, () => {
      const all = this.catalogue.slice(0, k).map((item, rank) => ranked(item, rank));
      return { items: all, exhausted: k >= this.catalogue.length };
    });
  }

  setAvailable(items?: string[]): Promise<ClientUpdate> {
    return this.#one(`available ${items?.join()}`, () => this.#now());
  }

  setExcluded(items: string[], send: boolean): Promise<ClientUpdate> {
    return this.#one(`excluded ${items.join()} ${send}`, () => this.#now());
  }

  fetchMissing(): Promise<Fetched> {
    this.fetches += 1;
    const nothing: Fetched = { update: null, rows: false, errors: [], more: false, failed: false };
    return this.missing.shift()?.promise ?? Promise.resolve(nothing);
  }

  fetchFurther(): Promise<Fetched> {
    this.calls.push('further');
    const arrived = this.further.shift();
    if (arrived !== undefined) this.catalogue = [...this.catalogue, ...arrived];
    const more = arrived !== undefined;
    return Promise.resolve({ update: null, rows: false, errors: [], more, failed: false });
  }

  explain(item: string): ReturnType<Client['explain']> {
    return this.#one(`explain ${item}`, () => {
      const found = this.#now().items.find((ranked) => ranked.item === item);
      return found === undefined ? null : { item: found, rank: 0, of: 4, contributions: [] };
    });
  }

  similar(item: string, k: number): ReturnType<Client['similar']> {
    return this.#one(`similar ${item} ${k}`, () => [{ item: 'b', similarity: 0.5 }]);
  }

  compare(items: string[]): Promise<number | null> {
    return this.#one(`compare ${items}`, () => (this.history.length === 0 ? null : 0.4567));
  }

  chooseModel(name?: string): Promise<null> {
    return this.#one(`model ${name}`, () => null);
  }

  free(): void {
    this.calls.push('free');
  }

  requestCandidates(why: string): Promise<ClientUpdate> {
    this.calls.push('request');
    this.reasons.push(why);
    if (this.#inside > 0) this.overlaps += 1;
    const answer = held<ClientUpdate>();
    this.requests.push(answer);
    return answer.promise;
  }

  async request(path: string, body: string | undefined, why: string): Promise<string> {
    if (this.network === null) throw new Error('this test has no network');
    if (this.connection.state === 'offline') throw { code: 'unreachable', message: 'offline' };
    const { network, server } = this.network;
    const url = `${server}${path}`;
    const request = { url, body: body ?? null, why, sha256: null, cellIndex: null, fresh: false };
    const response = await network.send(request, new AbortController().signal);
    const text = new TextDecoder().decode(response.body);
    if (response.status > 299) throw { code: codes[response.status], message: text };
    return text;
  }

  /** As for a page that has nothing yet: the whole history. */
  historyChange(): HistoryChange {
    return { dropped: 0, kept: 0, added: [...this.history] };
  }

  learn(): Promise<LearnReport | null> {
    return this.#one('learn', () => {
      if (this.learnFails !== null) throw this.learnFails;
      if (this.#waiting === 0) return null;
      this.#waiting -= 1;
      this.#steps += 1;
      return { step: this.#steps, lossBefore: 2, lossAfter: 1, ms: 3 };
    });
  }

  setOffline(offline: boolean): void {
    this.calls.push(`offline ${offline}`);
    this.connection = { ...online, state: offline ? 'offline' : 'online' };
  }

  reset(): Promise<ClientUpdate> {
    return this.#one('reset', () => {
      this.history = [];
      this.#waiting = 0;
      return this.#now();
    });
  }

  exportPersonal(): Uint8Array {
    return new TextEncoder().encode(this.history.join(','));
  }

  importPersonal(bytes: Uint8Array): Promise<ClientUpdate> {
    return this.#one('import', () => {
      if (bytes.length === 0) throw { code: 'integrity', message: 'damaged' };
      const text = new TextDecoder().decode(bytes);
      if (/[{<]/.test(text)) throw { code: 'invalid_artifact', message: 'the parser’s text' };
      this.history = text.split(',');
      return this.#now();
    });
  }

  restorePersonal(bytes: Uint8Array): Promise<ClientUpdate> {
    return this.#one('restore', () => {
      const text = new TextDecoder().decode(bytes);
      if (text === 'damaged') throw { code: 'invalid_artifact', message: 'damaged' };
      this.history = text === '' ? [] : text.split(',');
      return this.#now();
    });
  }

  abort(): void {
    this.aborted += 1;
  }

  #now(): ClientUpdate {
    const { decision, connection, items, exhausted } = this;
    const changes = { decision, connection, exhausted, ...(items === null ? {} : { items }) };
    return update([...this.history], changes);
  }

  async #one<T>(name: string, act: () => T): Promise<T> {
    this.calls.push(name);
    this.#inside += 1;
    if (this.#inside > 1) this.overlaps += 1;
    try {
      await turn();
      await this.slow.get(name);
      return act();
    } finally {
      this.#inside -= 1;
    }
  }
}

/** Codes for {@link FakeClient.request}, as the WebAssembly client has them. */
const codes: Record<number, string> = {
  400: 'invalid_field',
  401: 'unauthorized',
  404: 'not_found',
  429: 'overloaded',
  500: 'internal',
};

/** A worker whose messages take a turn of the event loop, as those of real workers do. */
export class FakeWorker implements WorkerLike {
  terminated = false;
  readonly #host: Host;
  readonly #messages: ((event: MessageEvent<ToPage>) => void)[] = [];
  readonly #errors: ((event: { message?: string }) => void)[] = [];

  constructor(load: EngineLoader) {
    this.#host = new Host(
      {
        postMessage: (message) => {
          const data = structuredClone(message);
          void turn().then(() => {
            if (this.terminated) return;
            for (const listener of this.#messages) listener({ data } as MessageEvent<ToPage>);
          });
        },
      },
      load,
    );
  }

  postMessage(message: ToWorker): void {
    const copy = structuredClone(message);
    void turn().then(() => {
      if (!this.terminated) this.#host.receive(copy);
    });
  }

  terminate(): void {
    this.terminated = true;
  }

  addEventListener(type: 'message', listener: (event: MessageEvent<ToPage>) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string }) => void): void;
  addEventListener(
    ...[type, listener]:
      | [type: 'message', listener: (event: MessageEvent<ToPage>) => void]
      | [type: 'error', listener: (event: { message?: string }) => void]
  ): void {
    if (type === 'message') this.#messages.push(listener);
    else this.#errors.push(listener);
  }

  crash(event: { message?: string }): void {
    for (const listener of this.#errors) listener(event);
  }
}

/** Animation frames that the test triggers. */
export class Frames {
  #waiting: (() => void)[] = [];
  readonly #document = Object.assign(new EventTarget(), { visibilityState: 'visible' });

  install(): void {
    // One per frame that a test leaves unpainted.
    setMaxListeners(0, this.#document);
    vi.stubGlobal('document', this.#document);
    vi.stubGlobal('requestAnimationFrame', (callback: () => void) => {
      this.#waiting.push(callback);
      return 0;
    });
  }

  hide(hidden = true): void {
    this.#document.visibilityState = hidden ? 'hidden' : 'visible';
    this.#document.dispatchEvent(new Event('visibilitychange'));
  }

  /** Two frames: the second follows a paint. */
  paint(): void {
    for (let frame = 0; frame < 2; frame += 1) {
      const callbacks = this.#waiting;
      this.#waiting = [];
      for (const callback of callbacks) callback();
    }
  }
}

export interface Stand {
  /** The client of the newest worker. */
  client: FakeClient;
  worker: FakeWorker;
  recommender: Recommender;
  /** All workers so far. */
  workers: FakeWorker[];
  clients: FakeClient[];
}

/** Opens a recommender on fake clients: the first, and one for each new worker. */
export async function stand(options: Partial<RecommenderOptions> = {}): Promise<Stand> {
  const clients: FakeClient[] = [];
  const workers: FakeWorker[] = [];
  const spawn = (): FakeWorker => {
    const worker = new FakeWorker(async (settings, { network }) => {
      const client = new FakeClient();
      client.network = { network, server: settings.server };
      clients.push(client);
      return engineOf(client);
    });
    workers.push(worker);
    return worker;
  };
  const recommender = await Recommender.open(
    { server: '/', ...options },
    'http://shop.example/',
    spawn,
  );
  const [client] = clients;
  const [worker] = workers;
  if (client === undefined || worker === undefined) throw new Error('nothing was opened');
  client.calls.length = 0;
  return { client, worker, recommender, workers, clients };
}

/** An engine of a client. */
export function engineOf(client: FakeClient, changes: Partial<Engine> = {}): Engine {
  return {
    client,
    device: 'cpu',
    fallback: null,
    trial: null,
    reopen: async () => new FakeClient(),
    keepFiles: async () => undefined,
    ...changes,
  };
}

export function open(
  worker: FakeWorker,
  options: Partial<RecommenderOptions> = {},
): Promise<Recommender> {
  return Recommender.open({ server: '/', ...options }, 'http://shop.example/', () => worker);
}

/** Delivers all messages between page and worker; no clock is involved. */
export async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns += 1) await turn();
}
