// The shop with a fake recommender: loading, errors, switching devices.
import {
  type HostedModel,
  type Ledger,
  type RankedItem,
  type RecommenderEvents,
  type RecommenderOptions,
  type RecommenderState,
  TandemError,
  type TrackedEvent,
  type Update,
} from '@tandem-rec/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { waitedMs } from '../src/clicks.ts';
import { Shop, type ShopRecommender, type ShopState } from '../src/shop.ts';
import { meterCalls } from '../src/view/hero.ts';

function update(history: string[]): Update {
  return {
    items: [],
    searched: false,
    exhausted: true,
    decision: {
      action: 'keep',
      code: 'rankings_agree',
      reason: 'agree',
      disagreement: 0,
      threshold: 1,
      waitMs: null,
    },
    ranking: null,
    model: null,
    connection: { state: 'online', code: null, message: null, retryInMs: null },
    stats: {
      clicks: history.length,
      calls: 0,
      failedCalls: 0,
      bytesUp: 0,
      bytesDown: 0,
      listAgeMs: null,
      clicksSinceList: 0,
      learnSteps: 0,
      nonFinite: 0,
    },
    timings: { rerankMs: 0, requestMs: null, serverMs: null },
    history,
  };
}

class FakeRecommender implements ShopRecommender {
  disposed = false;
  imported: Uint8Array | null = null;
  refuses = false;
  offline = false;
  wasOfflineAtImport = false;
  model: string | null = null;
  #onUpdate: (payload: RecommenderEvents['update']) => void = () => {};
  readonly device: 'cpu' | 'webgpu';

  constructor(device: 'cpu' | 'webgpu') {
    this.device = device;
  }
  on<Name extends keyof RecommenderEvents>(
    name: Name,
    listener: (payload: RecommenderEvents[Name]) => void,
  ): () => void;
  on(name: string, listener: (payload: RecommenderEvents['update']) => void): () => void {
    if (name === 'update') this.#onUpdate = listener;
    return () => {};
  }
  async recommend(): Promise<Update> {
    return update([]);
  }
  async track(event: TrackedEvent | { type: 'undo' }): Promise<Update> {
    if (event.type === 'undo') throw new TandemError('internal', 'not used by the shop');
    if (event.item === 'bad') throw new TandemError('internal', 'it broke');
    const tracked = update([event.item]);
    this.#onUpdate({ ...tracked, cause: 'event', sequence: 1 });
    return tracked;
  }
  async exportPersonalData(): Promise<Uint8Array> {
    return new Uint8Array([7]);
  }
  async importPersonalData(bytes: Uint8Array): Promise<void> {
    if (this.refuses) throw new TandemError('integrity', 'another model');
    this.imported = bytes;
    this.wasOfflineAtImport = this.offline;
    this.deliver({ cause: 'import', history: ['1'] });
  }
  async reset(): Promise<void> {}
  async explain(): Promise<null> {
    return null;
  }
  async similar(): Promise<null> {
    return null;
  }
  async setConsent(): Promise<void> {}
  async ledger(): Promise<Ledger> {
    return { entries: [], dropped: 0, bytes: 0 };
  }
  deliver(change: Partial<RecommenderEvents['update']>): void {
    this.#onUpdate({ ...update([]), cause: 'event', sequence: 2, ...change });
  }
  async models(): Promise<HostedModel[]> {
    return [
      { name: 'small', ready: true },
      { name: 'large', ready: true },
    ];
  }
  async useModel(name: string): Promise<Update> {
    if (name === 'gone') throw new TandemError('internal', 'no such model');
    this.model = name;
    return update([]);
  }
  async undo(): Promise<TrackedEvent | null> {
    return { type: 'click', item: '1' };
  }
  async setOffline(offline: boolean): Promise<void> {
    this.offline = offline;
  }
  state(): RecommenderState {
    const { connection, decision, stats, history } = update([]);
    return {
      status: 'ready',
      device: this.device,
      deviceFallback: null,
      deviceTrial: null,
      consent: false,
      storage: 'memory',
      storageFault: null,
      visitor: null,
      model: this.model,
      connection: { ...connection, state: this.offline ? 'offline' : 'online' },
      decision,
      stats,
      history,
      learned: null,
    };
  }
  dispose(): void {
    this.disposed = true;
  }
}

const created: FakeRecommender[] = [];
const createRecommender = vi.fn<(options: RecommenderOptions) => Promise<ShopRecommender>>();
let state: ShopState;
const newShop = (): Shop =>
  new Shop(
    './',
    (next) => {
      state = next;
    },
    createRecommender,
  );

beforeEach(() => {
  created.length = 0;
  createRecommender.mockReset().mockImplementation(async ({ device }) => {
    const recommender = new FakeRecommender(device === 'webgpu' ? 'webgpu' : 'cpu');
    created.push(recommender);
    return recommender;
  });
  vi.stubGlobal('fetch', async (address: string) => {
    if (address.endsWith('manifest')) {
      const manifest = {
        items: { path: 'items.json' },
        model: { kind: 'sasrec', dims: 2, blocks: 1 },
      };
      return new Response(JSON.stringify(manifest), { headers: { 'x-artifacts': 'abc' } });
    }
    if (address.endsWith('/artifacts/abc/items.json'))
      return new Response('[{"item":"1","title":"M"}]');
    return new Response(JSON.stringify({ language_model: { name: 'L' }, notice: 'terms' }));
  });
});
afterEach(() => vi.unstubAllGlobals());

describe('loading', () => {
  it('loads films, language models and licence notice', async () => {
    await newShop().open();
    expect(state.phase).toBe('ready');
    expect(state.catalogue?.films.get('1')?.title).toBe('M');
    expect(state.status).toEqual({ languageModel: 'L', notice: 'terms' });
  });

  it('shows code and message of an error and can be retried', async () => {
    createRecommender.mockRejectedValueOnce(new TandemError('integrity', 'rows.bin'));
    const shop = newShop();
    await shop.open();
    expect(state).toMatchObject({
      phase: 'failed',
      failure: { code: 'integrity', message: 'rows.bin' },
    });
    await shop.open();
    expect(state.phase).toBe('ready');
  });

  it('disposes of the worker if the films cannot be loaded', async () => {
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('Failed to fetch');
    });
    const shop = newShop();
    await shop.open();
    expect(state.failure?.message).toContain('no response from the server');
    const { signal } = createRecommender.mock.lastCall?.[0] ?? {};
    expect(signal?.aborted).toBe(true);
    expect(shop.recommender).toBeNull();
  });
});

describe('in use', () => {
  it('switches the device and transfers the session', async () => {
    const shop = newShop();
    await shop.open();
    await shop.switchDevice('webgpu');
    expect(created.map(({ disposed }) => disposed)).toEqual([true, false]);
    expect(created[1]?.imported).toEqual(new Uint8Array([7]));
    expect(state).toMatchObject({ device: 'webgpu', switching: false });
  });

  it('sets the new device offline before the session is imported', async () => {
    const shop = newShop();
    await shop.open();
    await shop.setOffline(true);
    await shop.switchDevice('webgpu');
    expect(created[1]?.wasOfflineAtImport).toBe(true);
  });

  it('keeps its device and reports the error if the other cannot be created', async () => {
    const shop = newShop();
    await shop.open();
    const lost = new TandemError('device_lost', 'the GPU went away');
    createRecommender.mockRejectedValueOnce(lost);
    await shop.switchDevice('webgpu');
    expect(created.map(({ disposed }) => disposed)).toEqual([false]);
    expect(state).toMatchObject({
      phase: 'ready',
      device: 'cpu',
      switching: false,
      backgroundError: 'the GPU went away',
    });
  });

  it('keeps its device and disposes of the other if that rejects the session', async () => {
    const shop = newShop();
    await shop.open();
    createRecommender.mockImplementationOnce(async () => {
      const recommender = new FakeRecommender('webgpu');
      recommender.refuses = true;
      created.push(recommender);
      return recommender;
    });
    await shop.switchDevice('webgpu');
    expect(created.map(({ disposed }) => disposed)).toEqual([false, true]);
    expect(state).toMatchObject({ device: 'cpu', backgroundError: 'another model' });
  });

  it('logs each decision with its click number', async () => {
    const shop = newShop();
    await shop.open();
    await shop.watch('1');
    expect(state.decisions).toMatchObject([{ click: 1, action: 'keep' }]);
    await shop.reset();
    expect(state.decisions).toEqual([]);
  });

  it('keeps the selected language model after a device switch', async () => {
    const shop = newShop();
    await shop.open();
    await vi.waitFor(() => expect(state.models.map(({ name }) => name)).toHaveLength(2));
    await shop.chooseModel('large');
    expect([state.model, created[0]?.model]).toEqual(['large', 'large']);
    await shop.switchDevice('webgpu');
    expect(createRecommender.mock.lastCall?.[0].model).toBe('large');
  });

  it('keeps its language model if the other cannot be selected', async () => {
    const shop = newShop();
    await shop.open();
    await shop.chooseModel('gone');
    expect(state).toMatchObject({ model: null, backgroundError: 'no such model' });
  });

  it('announces what was undone', async () => {
    const shop = newShop();
    await shop.open();
    await shop.undo();
    expect(state.announcement).toBe('Undone: M.');
  });

  it('reports an error of a call and stays usable', async () => {
    const shop = newShop();
    await shop.open();
    await shop.watch('bad');
    expect(state).toMatchObject({ phase: 'ready', backgroundError: 'it broke' });
    await shop.watch('1');
    expect(state.backgroundError).toBeNull();
  });

  it('takes an error away when a dialog is closed', async () => {
    const shop = newShop();
    await shop.open();
    await shop.watch('bad');
    shop.dismissError();
    expect(state.backgroundError).toBeNull();
  });
});

function ranked(...items: string[]): RankedItem[] {
  return items.map((item, rank) => ({
    item,
    score: -rank,
    listed: true,
    llmRank: rank,
    srmRank: rank,
    logprob: -rank,
    srmScore: -rank,
  }));
}

describe('the shelf', () => {
  const items = () => state.shelf.map(({ item }) => item);

  it('settles once after a click and announces a list that arrives later', async () => {
    const shop = newShop();
    await shop.open();
    created[0]?.deliver({ cause: 'event', items: ranked('a', 'b') });
    expect(items()).toEqual(['a', 'b']);
    created[0]?.deliver({ cause: 'request', items: ranked('c', 'a') });
    expect([items(), state.newList]).toEqual([['a', 'b'], true]);
    shop.showNewList();
    expect([items(), state.newList]).toEqual([['c', 'a'], false]);
  });

  it('shows a list at once if there is nothing to look at yet', async () => {
    await newShop().open();
    created[0]?.deliver({ cause: 'request', items: ranked('c') });
    expect([items(), state.newList]).toEqual([['c'], false]);
  });

  it('does not announce a list with the same visible films', async () => {
    await newShop().open();
    created[0]?.deliver({ cause: 'event', items: ranked('a', 'b') });
    created[0]?.deliver({ cause: 'request', items: ranked('a', 'b') });
    expect(state.newList).toBe(false);
  });

  it('does not announce a list after a request that failed', async () => {
    await newShop().open();
    created[0]?.deliver({ cause: 'event', items: ranked('a', 'b') });
    const connection = {
      state: 'failing',
      code: 'unreachable',
      message: '',
      retryInMs: 1,
    } as const;
    // Learning has changed the order since.
    created[0]?.deliver({ cause: 'request', items: ranked('b', 'a'), connection });
    expect([items(), state.newList]).toEqual([['a', 'b'], false]);
  });

  it('counts a click before the model is there once, when it is there', async () => {
    const shop = newShop();
    const opened = shop.open();
    void shop.watch('1');
    void shop.watch('1');
    expect(state.queued).toEqual(['1']);
    await opened;
    expect(state.decisions).toMatchObject([{ click: 1 }]);
    expect(state.queued).toEqual([]);
  });
});

describe('the comparison', () => {
  const bodies: unknown[] = [];
  beforeEach(() => {
    bodies.length = 0;
    const others = fetch;
    vi.stubGlobal('fetch', async (address: string, init?: RequestInit) => {
      if (init?.method !== 'POST') return others(address);
      bodies.push(JSON.parse(String(init.body)));
      return new Response(JSON.stringify({ candidates: [{ item: 'x' }] }));
    });
  });

  it('requests a list at every click with the same history, and counts', async () => {
    const shop = newShop();
    await shop.open();
    await shop.watch('1');
    await vi.waitFor(() => expect(state.cloud.items).toEqual(['x']));
    expect(bodies.at(-1)).toEqual({ history: ['1'], k: 12 });
    expect(state.cloud.calls).toBe(2);
    expect(state.cloud.bytesDown).toBeGreaterThan(0);
  });

  it('counts the time that visitors wait after clicks, not that of the start or of an undo', async () => {
    const shop = newShop();
    await shop.open();
    const answered = (): Promise<void> =>
      vi.waitFor(() =>
        expect([state.cloud.items, state.cloud.waitingSince]).toEqual([['x'], null]),
      );
    await answered();
    expect(state.cloud.waitedMs).toBe(0);
    await shop.watch('1');
    await answered();
    const waited = state.cloud.waitedMs;
    expect(waited).toBeGreaterThan(0);
    await shop.undo();
    await answered();
    expect(state.cloud.waitedMs).toBe(waited);
  });

  it('sends nothing offline or when it is switched off', async () => {
    const shop = newShop();
    await shop.open();
    shop.setComparing(false);
    const before = bodies.length;
    await shop.watch('1');
    expect(bodies.length).toBe(before);
    expect(state.cloud.problem).toBeNull();
  });

  it('counts no failed requests, and compares no time of a click that the cloud could not answer', async () => {
    createRecommender.mockImplementation(async ({ fetch: send }) => {
      const recommender = new FakeRecommender('cpu');
      // Requests its first list, as the package does.
      await send?.('./v1/candidates', { method: 'POST', body: '{}' }).catch(() => undefined);
      created.push(recommender);
      return recommender;
    });
    const others = fetch;
    vi.stubGlobal('fetch', async (address: string, init?: RequestInit) => {
      if (init?.method === 'POST') throw new TypeError('Failed to fetch');
      return others(address);
    });
    const shop = newShop();
    await shop.open();
    for (let click = 0; click < 3; click += 1) await shop.watch(`${click}`);
    await vi.waitFor(() => expect(state.cloud.problem).toBe('failing'));
    expect(state.update?.stats.calls).toBe(0);
    expect(meterCalls(state)).toMatchObject({ tandem: '0', saved: '' });
    await vi.waitFor(() => expect(state.clicks.at(-1)?.alone).toBe(true));
    expect(state.cloud.bytesUp).toBe(0);
    expect(waitedMs([...state.clicks].slice(-1))).toBe(0);
  });

  it('requests the list again once the server is back, and says whether it answers', async () => {
    const others = fetch;
    let down = false;
    vi.stubGlobal('fetch', async (address: string, init?: RequestInit) => {
      if (down) throw new TypeError('Failed to fetch');
      return others(address, init);
    });
    const shop = newShop();
    await shop.open();
    expect(state.reached).toBe(true);
    down = true;
    await shop.watch('1');
    await vi.waitFor(() => expect(state.cloud.problem).toBe('failing'));
    expect(state.reached).toBe(false);
    down = false;
    await shop.checkServer();
    await vi.waitFor(() => expect(state.cloud).toMatchObject({ problem: null, calls: 2 }));
    expect(state.reached).toBe(true);
  });

  it('counts both sides from an imported session, but not from a refused one', async () => {
    const shop = newShop();
    await shop.open();
    await shop.watch('1');
    const counts = () => [state.clicks.length, state.cloud.calls];
    expect(counts()).toEqual([1, 2]);
    await shop.switchDevice('webgpu');
    expect(counts()).toEqual([1, 2]);
    const [, used] = created;
    if (used === undefined) throw new Error('no second recommender');
    used.refuses = true;
    await shop.importData(new Uint8Array([8]));
    expect(counts()).toEqual([1, 2]);
    used.refuses = false;
    await shop.importData(new Uint8Array([7]));
    expect(counts()).toEqual([0, 1]);
    expect([state.decisions, state.traffic.calls]).toEqual([[], 0]);
  });

  it('keeps the log of what was sent when the history is cleared or the device is switched', async () => {
    const shop = newShop();
    await shop.open();
    await shop.watch('1');
    await vi.waitFor(() => expect(state.cloud.items).toEqual(['x']));
    const before = (await shop.sent()).comparison.entries.length;
    expect(before).toBe(bodies.length);
    const entry = { at: 1, method: 'GET', url: 'u', why: '', body: null, bytes: 0, status: 200 };
    vi.spyOn(created[0] as FakeRecommender, 'ledger').mockResolvedValue({
      ...{ entries: [entry as Ledger['entries'][number]], dropped: 0, bytes: 0 },
    });
    await shop.reset();
    await shop.switchDevice('webgpu');
    const { tandem, comparison } = await shop.sent();
    expect(comparison.entries.length).toBeGreaterThanOrEqual(before);
    expect(tandem?.entries).toEqual([entry]);
  });

  it('counts a request of Tandem as soon as it is made', async () => {
    let answer: (response: Response) => void = () => {};
    createRecommender.mockImplementation(async ({ fetch: send }) => {
      void send?.('./v1/candidates', { method: 'POST', body: '{}' });
      return new FakeRecommender('cpu');
    });
    const others = fetch;
    vi.stubGlobal('fetch', (address: string, init?: RequestInit) =>
      init?.method === 'POST'
        ? new Promise<Response>((resolve) => {
            answer = resolve;
          })
        : others(address),
    );
    // A state of its own: the shop of another test may still explain its films.
    let shown: ShopState | null = null;
    const render = (next: ShopState): void => {
      shown = next;
    };
    const shop = new Shop('./', render, createRecommender);
    shop.setComparing(false);
    await shop.open();
    expect(shown).toMatchObject({ traffic: { calls: 1, bytesDown: 0 } });
    answer(new Response('{"candidates":[]}'));
    await vi.waitFor(() => expect(shown).toMatchObject({ traffic: { calls: 1, bytesDown: 17 } }));
  });
});
