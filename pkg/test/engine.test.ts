// Opening: the fetched files, the progress, the fallback to the CPU.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Ledger } from '../src/shared/ledger.js';
import type { OpenSettings } from '../src/shared/messages.js';
import type { Progress } from '../src/shared/update.js';
import { FileCache } from '../src/worker/cache.js';
import { loadEngine, type Surroundings } from '../src/worker/engine.js';
import { Network, ownFetch } from '../src/worker/network.js';
import type { GlueLog } from './glue.js';

const settings: OpenSettings = {
  server: 'http://cloud.example',
  device: 'cpu',
  timeoutMs: null,
  wasmUrl: 'http://shop.example/static/',
  key: null,
  budget: null,
  search: 'auto',
  searchMemory: null,
  counts: null,
  repeats: false,
  available: null,
  excluded: { items: [], send: false },
  model: null,
  consent: false,
  pageFetch: false,
  shadow: false,
  offline: false,
  lock: null,
};

function surroundings(onProgress: Surroundings['onProgress'] = () => {}): Surroundings {
  const cache = new FileCache(false, () => {});
  return { cache, network: new Network(ownFetch, cache, new Ledger(), null), onProgress };
}

const onCpu =
  'cpu open {"server":"http://cloud.example","device":"cpu","search":"auto","repeats":false}';
const adapter = { requestAdapter: async () => ({}) };

let log: GlueLog;
let fetched: string[];

beforeEach(() => {
  log = { calls: [], fails: {} };
  vi.stubGlobal('glueLog', log);
  fetched = [];
  serve(() => new Response(new Uint8Array(1000), { headers: { 'content-length': '1000' } }));
  vi.stubGlobal('navigator', {});
});
afterEach(() => vi.unstubAllGlobals());

function serve(answer: () => Response): void {
  vi.stubGlobal('fetch', async (address: URL) => {
    fetched.push(address.href);
    return answer();
  });
}

const open = (changes: Partial<OpenSettings> = {}): ReturnType<typeof loadEngine> =>
  loadEngine({ ...settings, ...changes }, surroundings());

describe('on the CPU', () => {
  it('fetches only the file of the CPU', async () => {
    const { device, fallback } = await open();
    expect(fetched).toEqual(['http://shop.example/static/cpu/tandem_bg.wasm']);
    expect(log.calls).toEqual(['cpu init 1000', onCpu]);
    expect({ device, fallback }).toEqual({ device: 'cpu', fallback: null });
  });

  it('reports its progress in bytes', async () => {
    const told: Progress[] = [];
    await loadEngine(
      settings,
      surroundings((progress) => told.push(progress)),
    );
    expect(told).toEqual([
      { phase: 'runtime', loaded: 0, total: 1000 },
      { phase: 'runtime', loaded: 1000, total: 1000 },
      { phase: 'model', loaded: 0, total: null },
      { phase: 'ready', loaded: 0, total: null },
    ]);
  });

  it('does not use the length of a compressed response as that of its content', async () => {
    const headers = { 'content-length': '400', 'content-encoding': 'br' };
    serve(() => new Response(new Uint8Array(1000), { headers }));
    const told: Progress[] = [];
    await loadEngine(
      settings,
      surroundings((progress) => told.push(progress)),
    );
    expect(told[1]).toEqual({ phase: 'runtime', loaded: 1000, total: null });
  });

  it('names a missing file', async () => {
    serve(() => new Response('', { status: 404 }));
    await expect(open()).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('/static/cpu/tandem_bg.wasm'),
    });
  });

  it('passes timeout, budget and search on', async () => {
    await open({
      timeoutMs: 500,
      budget: { burst: 2, perMinute: 1 },
      searchMemory: 9,
      counts: false,
    });
    expect(log.calls[1]).toContain('"searchMemory":9');
    expect(log.calls[1]).toContain('"counts":false');
    expect(log.calls[1]).toContain('"timeoutMs":500');
    expect(log.calls[1]).toContain('"budget":{"burst":2,"perMinute":1}');
  });

  it('opens another client of the same files after a change of the catalogue', async () => {
    const { client, reopen } = await open();
    expect(await reopen()).not.toBe(client);
    expect(log.calls).toEqual(['cpu init 1000', onCpu, onCpu]);
  });
});

it('does not wait for stale files to be removed', async () => {
  const listing = vi.fn(() => new Promise(() => {}));
  const cache = { match: async () => undefined, put: async () => {}, keys: listing };
  vi.stubGlobal('caches', { open: async () => cache });
  vi.stubGlobal('self', { location: { href: 'http://shop.example/' } });
  const files = new FileCache(true, () => {});
  const network = new Network(ownFetch, files, new Ledger(), null);
  const { device } = await loadEngine(settings, { cache: files, network, onProgress: () => {} });
  expect(device).toBe('cpu');
  await vi.waitFor(() => expect(listing).toHaveBeenCalled());
});

describe('a cached module', () => {
  it.each([404, 504])('is used if the server answers with %i', async (status) => {
    const cached = new Response(new Uint8Array(7));
    const cache = { match: async () => cached.clone(), keys: async () => [] };
    vi.stubGlobal('caches', { open: async () => cache });
    vi.stubGlobal('self', { location: { href: 'http://shop.example/' } });
    serve(() => new Response('', { status }));
    const files = new FileCache(true, () => {});
    const network = new Network(ownFetch, files, new Ledger(), null);
    await loadEngine(settings, { cache: files, network, onProgress: () => {} });
    expect(log.calls[0]).toBe('cpu init 7');
  });
});

describe('on WebGPU', () => {
  it('fetches only the file of the GPU', async () => {
    vi.stubGlobal('navigator', { gpu: adapter });
    const { device, fallback } = await open({ device: 'webgpu' });
    expect(fetched).toEqual(['http://shop.example/static/webgpu/tandem_bg.wasm']);
    expect({ device, fallback }).toEqual({ device: 'webgpu', fallback: null });
  });

  it.each([
    ['no WebGPU', {}],
    ['no adapter', { gpu: { requestAdapter: async () => null } }],
  ])('falls back to the CPU without fetching its file: %s', async (_, navigator) => {
    vi.stubGlobal('navigator', navigator);
    const { device, fallback } = await open({ device: 'webgpu' });
    expect(fetched).toEqual(['http://shop.example/static/cpu/tandem_bg.wasm']);
    expect(device).toBe('cpu');
    expect(fallback?.code).toBe('no_adapter');
  });

  it('falls back to the CPU if the device is lost', async () => {
    vi.stubGlobal('navigator', { gpu: adapter });
    log.fails.webgpu = { code: 'device_lost', message: 'gone' };
    const { device, fallback } = await open({ device: 'webgpu' });
    expect(device).toBe('cpu');
    expect(fallback).toEqual({ code: 'device_lost', message: 'gone' });
  });

  it('does not fall back after a damaged file', async () => {
    vi.stubGlobal('navigator', { gpu: adapter });
    log.fails.webgpu = { code: 'integrity', message: 'rows.bin' };
    await expect(open({ device: 'webgpu' })).rejects.toEqual(log.fails.webgpu);
    expect(log.calls).not.toContain(onCpu);
  });
});
