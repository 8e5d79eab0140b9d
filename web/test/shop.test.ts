// The shop over a recommender of the test's own: opening, failing, switching devices.
import { createRecommender, type Recommender, TandemError, type Update } from '@tandem-rec/client';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Shop, type ShopState } from '../src/shop.ts';

vi.mock('@tandem-rec/client', async (original) => ({
  ...(await original<typeof import('@tandem-rec/client')>()),
  createRecommender: vi.fn(),
}));

function update(history: string[]): Update {
  return {
    items: [],
    decision: {
      action: 'keep',
      code: 'agree',
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

class FakeRecommender {
  disposed = false;
  imported: Uint8Array | null = null;
  refuses = false;
  offline = false;
  wasOfflineAtImport = false;
  model: string | null = null;
  listeners = new Map<string, (payload: unknown) => void>();
  readonly device: 'cpu' | 'webgpu';

  constructor(device: 'cpu' | 'webgpu') {
    this.device = device;
  }
  on(name: string, listener: (payload: never) => void): () => void {
    this.listeners.set(name, listener as (payload: unknown) => void);
    return () => {};
  }
  async recommend(): Promise<Update> {
    return update([]);
  }
  async track({ item }: { item: string }): Promise<void> {
    if (item === 'bad') throw new TandemError('internal', 'it broke');
    this.listeners.get('update')?.({ ...update([item]), cause: 'event', sequence: 1 });
  }
  async exportPersonalData(): Promise<Uint8Array> {
    return new Uint8Array([7]);
  }
  async importPersonalData(bytes: Uint8Array): Promise<void> {
    if (this.refuses) throw new TandemError('integrity', 'another model');
    this.imported = bytes;
    this.wasOfflineAtImport = this.offline;
  }
  async reset(): Promise<void> {}
  async models(): Promise<object[]> {
    return [
      { name: 'small', ready: true },
      { name: 'large', ready: true },
    ];
  }
  async useModel(name: string): Promise<void> {
    if (name === 'gone') throw new TandemError('internal', 'no such model');
    this.model = name;
  }
  async undo(): Promise<object | null> {
    return { type: 'click', item: '1' };
  }
  async setOffline(offline: boolean): Promise<void> {
    this.offline = offline;
  }
  state(): object {
    const connection = { state: this.offline ? 'offline' : 'online' };
    return { device: this.device, deviceFallback: null, connection };
  }
  dispose(): void {
    this.disposed = true;
  }
}

const made: FakeRecommender[] = [];
let state: ShopState;
const shown = (): Shop =>
  new Shop('./', (next) => {
    state = next;
  });

beforeEach(() => {
  made.length = 0;
  vi.mocked(createRecommender).mockImplementation(async ({ device }) => {
    const recommender = new FakeRecommender(device === 'webgpu' ? 'webgpu' : 'cpu');
    made.push(recommender);
    return recommender as unknown as Recommender;
  });
  vi.stubGlobal('fetch', async (address: string) => {
    if (address.endsWith('manifest')) {
      const manifest = {
        items: { path: 'items.json' },
        model: { kind: 'sasrec', dims: 2, blocks: 1 },
      };
      return new Response(JSON.stringify(manifest), { headers: { 'x-artifacts': 'abc' } });
    }
    if (address === './artifacts/abc/items.json') return new Response('[{"item":"1","title":"M"}]');
    return new Response(JSON.stringify({ language_model: { name: 'L' }, notice: 'terms' }));
  });
});
afterEach(() => vi.unstubAllGlobals());

describe('opening', () => {
  it('ends ready, with films, models and terms', async () => {
    await shown().open();
    expect(state.phase).toBe('ready');
    expect(state.catalogue?.films.get('1')?.title).toBe('M');
    expect(state.status).toEqual({ languageModel: 'L', notice: 'terms' });
  });

  it('fails with the code and message of what failed, and can be tried again', async () => {
    vi.mocked(createRecommender).mockRejectedValueOnce(new TandemError('integrity', 'rows.bin'));
    const shop = shown();
    await shop.open();
    expect(state).toMatchObject({
      phase: 'failed',
      failure: { code: 'integrity', message: 'rows.bin' },
    });
    await shop.open();
    expect(state.phase).toBe('ready');
  });

  it('ends the worker if the films cannot be had', async () => {
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('Failed to fetch');
    });
    const shop = shown();
    await shop.open();
    expect(state.failure?.message).toContain('no answer from the server');
    const { signal } = vi.mocked(createRecommender).mock.lastCall?.[0] ?? {};
    expect(signal?.aborted).toBe(true);
    expect(shop.recommender).toBeNull();
  });
});

describe('in use', () => {
  it('switches the device and takes the session along', async () => {
    const shop = shown();
    await shop.open();
    await shop.switchDevice('webgpu');
    expect(made.map(({ disposed }) => disposed)).toEqual([true, false]);
    expect(made[1]?.imported).toEqual(new Uint8Array([7]));
    expect(state).toMatchObject({ device: 'webgpu', switching: false });
  });

  it('is offline on the new device before the session comes', async () => {
    const shop = shown();
    await shop.open();
    await shop.setOffline(true);
    await shop.switchDevice('webgpu');
    expect(made[1]?.wasOfflineAtImport).toBe(true);
  });

  it('stays on its device, and says so, if the other cannot be opened', async () => {
    const shop = shown();
    await shop.open();
    const lost = new TandemError('device_lost', 'the GPU went away');
    vi.mocked(createRecommender).mockRejectedValueOnce(lost);
    await shop.switchDevice('webgpu');
    expect(made.map(({ disposed }) => disposed)).toEqual([false]);
    expect(state).toMatchObject({
      phase: 'ready',
      device: 'cpu',
      switching: false,
      trouble: 'the GPU went away',
    });
  });

  it('stays on its device, and ends the other, if the session is refused there', async () => {
    const shop = shown();
    await shop.open();
    vi.mocked(createRecommender).mockImplementationOnce(async () => {
      const recommender = new FakeRecommender('webgpu');
      recommender.refuses = true;
      made.push(recommender);
      return recommender as unknown as Recommender;
    });
    await shop.switchDevice('webgpu');
    expect(made.map(({ disposed }) => disposed)).toEqual([false, true]);
    expect(state).toMatchObject({ device: 'cpu', trouble: 'another model' });
  });

  it('logs each decision with its click', async () => {
    const shop = shown();
    await shop.open();
    await shop.watch('1');
    expect(state.decisions).toMatchObject([{ click: 1, action: 'keep' }]);
    await shop.reset();
    expect(state.decisions).toEqual([]);
  });

  it('lets another language model be chosen, and keeps it on another device', async () => {
    const shop = shown();
    await shop.open();
    await vi.waitFor(() => expect(state.models.map(({ name }) => name)).toHaveLength(2));
    await shop.chooseModel('large');
    expect([state.model, made[0]?.model]).toEqual(['large', 'large']);
    await shop.switchDevice('webgpu');
    expect(vi.mocked(createRecommender).mock.lastCall?.[0].model).toBe('large');
  });

  it('stays with its language model if the other cannot be had', async () => {
    const shop = shown();
    await shop.open();
    await shop.chooseModel('gone');
    expect(state).toMatchObject({ model: null, trouble: 'no such model' });
  });

  it('says what was taken back', async () => {
    const shop = shown();
    await shop.open();
    await shop.undo();
    expect(state.announcement).toBe('Taken back: M.');
  });

  it('says what went wrong and goes on', async () => {
    const shop = shown();
    await shop.open();
    await shop.watch('bad');
    expect(state).toMatchObject({ phase: 'ready', trouble: 'it broke' });
    await shop.watch('1');
    expect(state.trouble).toBeNull();
  });
});
