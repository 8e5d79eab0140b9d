// What an environment lacks, found without starting a worker.
import { afterEach, expect, it, vi } from 'vitest';
import { createRecommender } from '../src/page/create.js';
import { Recommender } from '../src/page/recommender.js';

afterEach(() => vi.unstubAllGlobals());

/** A browser's `Worker`: `readsType` is whether it knows module workers. */
function browser({ readsType }: { readsType: boolean }): { started: number } {
  const workers = { started: 0 };
  vi.stubGlobal(
    'Worker',
    class {
      constructor(address: string, options?: WorkerOptions) {
        if (readsType) String(options?.type);
        new URL(address, 'http://shop.example/');
        workers.started += 1;
      }
    },
  );
  return workers;
}

it('a browser with module workers and SIMD lacks nothing, and no worker is started', () => {
  const workers = browser({ readsType: true });
  expect(Recommender.missingFeature()).toBeNull();
  expect(Recommender.isSupported()).toBe(true);
  expect(workers.started).toBe(0);
});

it('Node lacks workers', () => {
  expect(Recommender.missingFeature()).toBe('worker');
});

it('a browser that ignores the option `type` lacks module workers', () => {
  const workers = browser({ readsType: false });
  expect(Recommender.missingFeature()).toBe('module_worker');
  expect(Recommender.isSupported()).toBe(false);
  expect(workers.started).toBe(0);
});

it('a browser with Trusted Types has module workers, and is not given a plain address', () => {
  const plain = vi.fn();
  vi.stubGlobal('Worker', plain);
  vi.stubGlobal('trustedTypes', {});
  expect(Recommender.missingFeature()).toBeNull();
  expect(plain).not.toHaveBeenCalled();
});

it('a browser whose WebAssembly is switched off, or has no SIMD', () => {
  browser({ readsType: true });
  vi.stubGlobal('WebAssembly', undefined);
  expect(Recommender.missingFeature()).toBe('webassembly');
  vi.stubGlobal('WebAssembly', { validate: () => false });
  expect(Recommender.missingFeature()).toBe('webassembly_simd');
});

it('createRecommender names what is missing', async () => {
  browser({ readsType: true });
  vi.stubGlobal('WebAssembly', { validate: () => false });
  await expect(createRecommender({ server: '/' })).rejects.toMatchObject({
    name: 'DeviceError',
    code: 'unsupported',
    message: expect.stringContaining('without SIMD in WebAssembly'),
  });
});
