// The stored session: no acknowledged event may be lost by the end of the worker, by a storage
// that fails, or between tabs.
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type Change,
  type JournalEntry,
  type OutgoingEvent,
  type PersonalStorage,
  StorageError,
  type StoredState,
} from '../src/page/index.js';
import { Gone } from '../src/page/indexed-db.js';
import { QUEUE_LIMIT } from '../src/page/outbox.js';
import { Recommender } from '../src/page/recommender.js';
import { MemoryStorage } from '../src/page/storage.js';
import { MAX_RESTARTS } from '../src/page/supervisor.js';
import {
  engineOf,
  FakeClient,
  FakeWorker,
  Frames,
  held,
  type Stand,
  settle,
  stand,
} from './stand.js';

let frames: Frames;
beforeEach(() => {
  frames = new Frames();
  frames.install();
});

const click = (item: string) => ({ type: 'click', item }) as const;
/** A storage that outlives recommenders, as a database does. */
class Lasting implements PersonalStorage {
  readonly #kept = new MemoryStorage();
  /** The error of the next calls. */
  failure: Error | null = null;

  load = () => this.#use(() => this.#kept.load());
  append = (entries: Omit<JournalEntry, 'key'>[]) => this.#use(() => this.#kept.append(entries));
  remove = (keys: readonly number[]) => this.#use(() => this.#kept.remove(keys));
  update = (decide: (stored: StoredState) => Change | null) =>
    this.#use(() => this.#kept.update(decide));
  queue = (events: readonly OutgoingEvent[], limit: number) =>
    this.#use(() => this.#kept.queue(events, limit));
  unsent = (limit: number) => this.#use(() => this.#kept.unsent(limit));
  unqueue = (ids: readonly string[]) => this.#use(() => this.#kept.unqueue(ids));
  clear = () => this.#use(() => this.#kept.clear());
  close(): void {}

  #use<T>(act: () => Promise<T>): Promise<T> {
    return this.failure === null ? act() : Promise.reject(this.failure);
  }
}

const visit = (storage: Lasting): Promise<Stand> => stand({ consent: true, storage });
/** Waits for a snapshot: everything painted and learnt from. */
async function rest(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) {
    frames.paint();
    await settle();
  }
  await new Promise((done) => setTimeout(done, 1_100));
  await settle();
}

/** A recommender whose workers open when `opening`, given their number from 0, has resolved. */
async function opened(
  opening: (number: number) => Promise<void>,
): Promise<{ recommender: Recommender; workers: FakeWorker[]; clients: FakeClient[] }> {
  const clients: FakeClient[] = [];
  const workers: FakeWorker[] = [];
  const spawn = (): FakeWorker => {
    const number = workers.length;
    const worker = new FakeWorker(async () => {
      await opening(number);
      const client = new FakeClient();
      clients.push(client);
      return engineOf(client);
    });
    workers.push(worker);
    return worker;
  };
  const recommender = await Recommender.open({ server: '/' }, 'http://shop.example/', spawn);
  return { recommender, workers, clients };
}

describe('a worker that dies', () => {
  it('is replaced, and the session continues with all acknowledged events', async () => {
    const { recommender, workers, clients } = await stand();
    const causes: string[] = [];
    recommender.on('update', ({ cause }) => causes.push(cause));
    await recommender.track(click('x'));
    await recommender.track(click('y'));
    workers[0]?.crash({ message: 'out of memory' });
    await settle();
    expect(recommender.state()).toMatchObject({ status: 'ready', history: ['x', 'y'] });
    expect((await recommender.track(click('z'))).history).toEqual(['x', 'y', 'z']);
    expect(causes).toEqual(['event', 'event', 'restart', 'event']);
    expect(clients).toHaveLength(2);
  });

  it('passes its pending calls on, once', async () => {
    const { recommender, workers, client, clients } = await stand();
    client.slow.set('track y', new Promise(() => {}));
    await recommender.track(click('x'));
    const pending = [recommender.track(click('y')), recommender.track(click('z'))];
    await settle();
    workers[0]?.crash({ message: 'killed' });
    const answers = await Promise.all(pending);
    expect(answers.map(({ history }) => history.join())).toEqual(['x,y', 'x,y,z']);
    expect(clients[1]?.calls.filter((name) => name === 'track y')).toHaveLength(1);
  });

  it('gets no calls before it has the session', async () => {
    const gate = held<void>();
    const { recommender, workers, clients } = await opened((number) =>
      number === 1 ? gate.promise : Promise.resolve(),
    );
    await recommender.track(click('x'));
    workers[0]?.crash({ message: 'killed' });
    await settle();
    const meanwhile = [recommender.track(click('y')), recommender.recommend()];
    await settle();
    gate.resolve();
    const answers = await Promise.all(meanwhile);
    expect(answers.map(({ history }) => history.join())).toEqual(['x,y', 'x,y']);
    await settle();
    expect(clients[1]?.history).toEqual(['x', 'y']);
  });

  it('is retried while the server cannot be reached', async () => {
    const { recommender, workers, clients } = await opened(async (number) => {
      if (number === 1) throw { code: 'unreachable', message: 'no route' };
    });
    await recommender.track(click('x'));
    workers[0]?.crash({ message: 'killed' });
    // Answered once the second attempt, a second later, has a worker.
    expect((await recommender.track(click('y'))).history).toEqual(['x', 'y']);
    expect([workers.length, clients.length]).toEqual([3, 2]);
    expect(recommender.state().status).toBe('ready');
  });

  it('continues from a snapshot, with the events since', async () => {
    const { recommender, workers, clients } = await stand();
    await recommender.track(click('x'));
    await rest();
    await recommender.track(click('y'));
    workers[0]?.crash({ message: 'killed' });
    await settle();
    expect(clients[1]?.calls.slice(0, 2)).toEqual(['restore', 'replay y']);
    expect(recommender.state().history).toEqual(['x', 'y']);
  });

  it('too often makes the recommender fail', async () => {
    const { recommender, workers } = await stand();
    const codes: string[] = [];
    recommender.on('error', ({ code }) => codes.push(code));
    for (let death = 0; death <= MAX_RESTARTS; death += 1) {
      workers.at(-1)?.crash({ message: 'killed' });
      await settle();
    }
    expect(workers).toHaveLength(MAX_RESTARTS + 1);
    expect([recommender.state().status, ...codes]).toEqual(['failed', 'worker_failed']);
    await expect(recommender.recommend()).rejects.toMatchObject({ code: 'worker_failed' });
    await expect(recommender.track(click('x'))).rejects.toMatchObject({ code: 'worker_failed' });
  });

  it('by a trap skips the event of the trap', async () => {
    const { recommender, clients } = await stand();
    await recommender.track(click('x'));
    await expect(recommender.track(click('trap'))).rejects.toMatchObject({ fatal: true });
    await settle();
    expect(clients).toHaveLength(2);
    expect((await recommender.track(click('y'))).history).toEqual(['x', 'y']);
    // Not at the next death either.
    expect(clients[1]?.calls.join()).not.toContain('trap');
  });

  it('with its GPU continues on the CPU and reports why', async () => {
    const { recommender, client, workers } = await stand({ device: 'webgpu' });
    await recommender.track(click('x'));
    client.learnFails = { code: 'device_lost', message: 'the GPU went away' };
    frames.paint();
    await settle();
    expect(workers).toHaveLength(2);
    expect(recommender.state()).toMatchObject({
      device: 'cpu',
      deviceFallback: { code: 'device_lost' },
      history: ['x'],
    });
  });
});

describe('with consent', () => {
  it('a session continues at the next visit, with or without a snapshot', async () => {
    const storage = new Lasting();
    const first = await visit(storage);
    await first.recommender.track(click('x'));
    await rest();
    await first.recommender.track(click('y'));
    first.recommender.dispose();
    const second = await visit(storage);
    expect(second.recommender.state()).toMatchObject({ storage: 'device', history: ['x', 'y'] });
  });

  it('reverted and deleted events do not come back', async () => {
    const storage = new Lasting();
    const first = await visit(storage);
    await first.recommender.track(click('x'));
    await first.recommender.track(click('y'));
    await first.recommender.undo();
    first.recommender.dispose();
    const second = await visit(storage);
    expect(second.recommender.state().history).toEqual(['x']);
    await second.recommender.reset();
    second.recommender.dispose();
    expect((await visit(storage)).recommender.state().history).toEqual([]);
  });

  it('a refused event does not come back', async () => {
    const storage = new Lasting();
    const first = await visit(storage);
    await expect(first.recommender.track(click('refused'))).rejects.toThrow('no such item');
    await first.recommender.track(click('x'));
    first.recommender.dispose();
    expect((await visit(storage)).recommender.state().history).toEqual(['x']);
  });

  it('granted later, earlier events are stored as well', async () => {
    const storage = new Lasting();
    const first = await stand({ storage });
    await first.recommender.track(click('x'));
    expect(first.recommender.state().storage).toBe('memory');
    await first.recommender.setConsent(true);
    await first.recommender.track(click('y'));
    first.recommender.dispose();
    expect((await visit(storage)).recommender.state().history).toEqual(['x', 'y']);
  });

  it('granted later, reverted events do not come back', async () => {
    const storage = new Lasting();
    const earlier = await visit(storage);
    await earlier.recommender.track(click('a'));
    earlier.recommender.dispose();
    const { recommender } = await stand({ storage });
    await recommender.track(click('x'));
    await recommender.track(click('y'));
    await recommender.undo();
    await recommender.setConsent(true);
    expect(recommender.state().history).toEqual(['a', 'x']);
  });

  it('granted later, the session of an earlier visit comes first', async () => {
    const storage = new Lasting();
    const earlier = await visit(storage);
    await earlier.recommender.track(click('a'));
    earlier.recommender.dispose();
    const { recommender } = await stand({ storage });
    await recommender.track(click('x'));
    await recommender.setConsent(true);
    expect(recommender.state().history).toEqual(['a', 'x']);
  });

  it('withdrawn, nothing stays stored, and the session continues in memory', async () => {
    const storage = new Lasting();
    const { recommender } = await visit(storage);
    await recommender.track(click('x'));
    await recommender.setConsent(false);
    expect((await recommender.track(click('y'))).history).toEqual(['x', 'y']);
    expect(recommender.state()).toMatchObject({ storage: 'memory', consent: false });
    expect(await storage.load()).toMatchObject({ snapshot: null, entries: [] });
  });

  it('a damaged session is reported and starts again', async () => {
    const storage = new Lasting();
    const damaged = new TextEncoder().encode('damaged');
    await storage.update((found) => ({ ...found, snapshot: damaged, drop: [] }));
    const { recommender } = await visit(storage);
    expect((await recommender.track(click('x'))).history).toEqual(['x']);
  });
});

describe('a storage that fails', () => {
  it('is reported once, and the session continues in memory, even in a new worker', async () => {
    const storage = new Lasting();
    const { recommender, workers } = await visit(storage);
    const codes: string[] = [];
    recommender.on('error', ({ code }) => codes.push(code));
    await recommender.track(click('x'));
    storage.failure = new StorageError('quota', 'no room');
    await recommender.track(click('y'));
    await recommender.track(click('z'));
    await settle();
    expect(codes).toEqual(['quota']);
    expect(recommender.state()).toMatchObject({
      storage: 'memory',
      storageFault: { code: 'quota' },
    });
    workers[0]?.crash({ message: 'killed' });
    await settle();
    expect(recommender.state().history).toEqual(['x', 'y', 'z']);
  });

  it('at opening is in the state', async () => {
    const storage = new Lasting();
    storage.failure = new StorageError('storage', 'blocked');
    const { recommender } = await visit(storage);
    expect(recommender.state()).toMatchObject({
      storage: 'memory',
      storageFault: { code: 'storage', message: 'blocked' },
    });
    expect((await recommender.track(click('x'))).history).toEqual(['x']);
  });

  it('because it was deleted is filled again', async () => {
    const storage = new Lasting();
    const first = await visit(storage);
    await first.recommender.track(click('x'));
    await storage.clear();
    storage.failure = new Gone();
    const tracked = first.recommender.track(click('y'));
    await settle();
    storage.failure = null;
    await tracked;
    await settle();
    await first.recommender.track(click('z'));
    first.recommender.dispose();
    expect((await visit(storage)).recommender.state().history).toEqual(['x', 'y', 'z']);
  });
});

describe('two tabs', () => {
  async function tabs(): Promise<{ storage: Lasting; a: Stand; b: Stand }> {
    const storage = new Lasting();
    return { storage, a: await visit(storage), b: await visit(storage) };
  }
  const sorted = ({ recommender }: Stand): string =>
    [...recommender.state().history].sort().join('');
  /** Broadcasts take turns of their own. */
  async function told(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise((done) => setTimeout(done, 5));
      await settle();
    }
  }

  it('see each other’s events, each once', async () => {
    const { a, b } = await tabs();
    await Promise.all([a.recommender.track(click('x')), b.recommender.track(click('y'))]);
    await told();
    await a.recommender.track(click('z'));
    await told();
    expect([sorted(a), sorted(b)]).toEqual(['xyz', 'xyz']);
  });

  it('lose nothing when both learn and store at once', async () => {
    const { storage, a, b } = await tabs();
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([
        a.recommender.track(click(`a${round}`)),
        b.recommender.track(click(`b${round}`)),
      ]);
    }
    await rest();
    await told();
    await Promise.all([a.recommender.track(click('a5')), b.recommender.track(click('b5'))]);
    await told();
    await rest();
    a.recommender.dispose();
    b.recommender.dispose();
    const next = await visit(storage);
    expect(next.recommender.state().history).toHaveLength(12);
    expect(new Set(next.recommender.state().history).size).toBe(12);
  });

  it('are not affected by an event that one of them refused', async () => {
    const { storage, a } = await tabs();
    const causes: string[] = [];
    await expect(a.recommender.track(click('refused'))).rejects.toThrow('no such item');
    await a.recommender.track(click('x'));
    await rest();
    a.recommender.on('update', ({ cause }) => causes.push(cause));
    await a.recommender.track(click('y'));
    await rest();
    expect(causes).toEqual(['event']);
    expect((await storage.load()).entries).toEqual([]);
  });

  it('are reset together', async () => {
    const { a, b } = await tabs();
    await a.recommender.track(click('x'));
    await told();
    await a.recommender.reset();
    await told();
    expect([sorted(a), sorted(b)]).toEqual(['', '']);
    await b.recommender.track(click('y'));
    await told();
    expect(sorted(a)).toBe('y');
  });

  it('go to memory together when the consent is withdrawn', async () => {
    const { storage, a, b } = await tabs();
    await a.recommender.track(click('x'));
    await told();
    await a.recommender.setConsent(false);
    await told();
    expect(b.recommender.state()).toMatchObject({ consent: false, storage: 'memory' });
    await b.recommender.track(click('y'));
    await told();
    expect([sorted(a), sorted(b)]).toEqual(['x', 'xy']);
    expect(await storage.load()).toMatchObject({ snapshot: null, entries: [] });
  });
});

describe('queued events', () => {
  const queued = async (storage: PersonalStorage): Promise<string[]> =>
    (await storage.unsent(QUEUE_LIMIT)).map(({ item }) => item);

  it('move to the device with a consent, and are deleted by its withdrawal', async () => {
    const storage = new Lasting();
    const { recommender } = await stand({ storage, events: true });
    await recommender.track(click('x'));
    await recommender.setConsent(true);
    expect(await queued(storage)).toEqual(['x']);
    await recommender.setConsent(false);
    await recommender.track(click('y'));
    expect(await queued(storage)).toEqual([]);
    await recommender.setConsent(true);
    expect(await queued(storage)).toEqual([]);
  });

  it('are never read with a limit that IndexedDB refuses', async () => {
    const storage = new Lasting();
    const limits: number[] = [];
    const { unsent } = storage;
    storage.unsent = (limit) => {
      limits.push(limit);
      return unsent(limit);
    };
    const { recommender } = await stand({ storage, consent: true, events: true });
    await recommender.track(click('x'));
    await recommender.setConsent(false);
    await recommender.reset();
    // `getAll(null, count)` throws a TypeError from 2 to the power of 32.
    expect(limits.every((limit) => limit < 2 ** 32)).toBe(true);
  });

  it('include events of items that the catalogue lacks', async () => {
    const storage = new Lasting();
    const { recommender } = await stand({ storage, consent: true, events: true });
    await expect(recommender.track(click('refused'))).rejects.toMatchObject({
      code: 'unknown_item',
    });
    expect(recommender.state().history).toEqual([]);
    expect(await queued(storage)).toEqual(['refused']);
  });
});
