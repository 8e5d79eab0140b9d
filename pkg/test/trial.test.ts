// `auto`: when a GPU is measured, what is kept of it, and what is gone by.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OpenSettings } from '../src/shared/messages.js';
import type { Device } from '../src/shared/update.js';
import { FileCache } from '../src/worker/cache.js';
import { beginTrial, lastTrial, trialDue } from '../src/worker/choice.js';
import type { EngineLoader } from '../src/worker/engine.js';
import { tryDevices } from '../src/worker/trial.js';
import { engineOf, FakeClient } from './stand.js';

const settings = { server: 'http://cloud.example', device: 'auto' } as OpenSettings;
const files = (): FileCache => new FileCache(true, () => {});

let entries: Map<string, Response>;
let info: { vendor: string; device: string; isFallbackAdapter: boolean };
let clock: number;

beforeEach(() => {
  entries = new Map();
  const cache = {
    match: async (key: string) => entries.get(key)?.clone(),
    put: async (key: string, response: Response) => void entries.set(key, response),
  };
  vi.stubGlobal('caches', { open: async () => cache });
  vi.stubGlobal('self', { location: { href: 'http://shop.example/' } });
  info = { vendor: 'acme', device: 'card', isFallbackAdapter: false };
  vi.stubGlobal('navigator', {
    gpu: { requestAdapter: async () => ({ info }) },
    locks: { request: async (_: string, __: object, run: (lock: object) => unknown) => run({}) },
  });
  clock = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Engines whose clicks take so long, the next of each kind in turn, the last for ever. */
function engines(times: Record<Device, number[]>): EngineLoader {
  return async ({ device }) => {
    const client = new FakeClient();
    const left = [...times[device as Device]];
    const track = client.track.bind(client);
    client.track = (event) => {
      clock += (left.length > 1 ? left.shift() : left[0]) ?? 0;
      return track(event);
    };
    return engineOf(client, { device: device as Device });
  };
}

const measure = (times: Record<Device, number[]>): ReturnType<typeof tryDevices> =>
  tryDevices(engines(times), settings, new Uint8Array([1]));

describe('the trial', () => {
  it('keeps the faster one, by the median of clicks that are warm', async () => {
    const found = await measure({ cpu: [1, 1, 3], webgpu: [900, 400, 2, 2, 50, 2, 2, 2, 2] });
    expect(found).toEqual({ adapter: 'acme card', device: 'webgpu', cpuMs: 3, webgpuMs: 2 });
    expect(await lastTrial(settings, files())).toEqual(found);
  });

  it('keeps the CPU where both are as fast', async () => {
    expect((await measure({ cpu: [2], webgpu: [2] }))?.device).toBe('cpu');
  });

  it('does not wait for a GPU that cannot keep up', async () => {
    const found = await measure({ cpu: [1], webgpu: [30_000] });
    expect(found).toMatchObject({ device: 'cpu', webgpuMs: 30_000 });
    expect(clock).toBe(30_001);
  });

  it('is left to the other tab that makes it', async () => {
    const request = async (_: string, __: object, run: (lock: null) => unknown): Promise<unknown> =>
      run(null);
    vi.stubGlobal('navigator', { ...navigator, locks: { request } });
    expect(await measure({ cpu: [1], webgpu: [1] })).toBeNull();
    expect(entries.size).toBe(0);
  });

  it('rejects where the GPU turns out to be of no use', async () => {
    const fallback = { code: 'device_lost', message: 'gone' } as const;
    const load: EngineLoader = async () => engineOf(new FakeClient(), { fallback });
    await expect(tryDevices(load, settings, new Uint8Array())).rejects.toEqual(fallback);
  });
});

describe('a trial is due', () => {
  it('once for an adapter', async () => {
    expect(await trialDue(settings, files())).toBe(true);
    await measure({ cpu: [1], webgpu: [2] });
    expect(await trialDue(settings, files())).toBe(false);
    info = { ...info, device: 'other card' };
    expect(await trialDue(settings, files())).toBe(true);
  });

  it('once more after one that ended without a word, and then no more', async () => {
    await beginTrial(settings.server, 'acme card', files());
    expect(await trialDue(settings, files())).toBe(true);
    await beginTrial(settings.server, 'acme card', files());
    expect(await trialDue(settings, files())).toBe(false);
  });

  it('again for another version of the package', async () => {
    await measure({ cpu: [1], webgpu: [2] });
    const [[key, kept]] = [...entries] as [[string, Response]];
    entries.set(key, Response.json({ ...(await kept.json()), version: '0.0.1' }));
    expect(await lastTrial(settings, files())).toBeNull();
    expect(await trialDue(settings, files())).toBe(true);
  });

  it.each([
    ['without consent', () => trialDue(settings, new FileCache(false, () => {}))],
    ['on a chosen device', () => trialDue({ ...settings, device: 'cpu' }, files())],
    [
      'on software',
      () => {
        info.isFallbackAdapter = true;
        return trialDue(settings, files());
      },
    ],
    [
      'without WebGPU',
      () => {
        vi.stubGlobal('navigator', {});
        return trialDue(settings, files());
      },
    ],
  ])('never %s', async (_, due) => {
    expect(await due()).toBe(false);
  });
});
