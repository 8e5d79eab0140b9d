// Browsers that refuse to start the worker: another origin, Trusted Types.
import { afterEach, expect, it, vi } from 'vitest';
import { createRecommender, DeviceError } from '../src/page/index.js';
import { Recommender } from '../src/page/recommender.js';
import { startWorker } from '../src/page/worker-script.js';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** The constructor of workers; `check` throws for addresses that it refuses. */
function workers(check: (address: unknown) => void): unknown[] {
  const started: unknown[] = [];
  vi.stubGlobal(
    'Worker',
    class {
      constructor(address: unknown) {
        check(address);
        started.push(address);
      }
    },
  );
  return started;
}

const trusted = (text: string) => ({ trusted: true, toString: () => text });
const onlyTrusted = (address: unknown): void => {
  if ((address as { trusted?: true }).trusted === true) return;
  throw new TypeError("This document requires 'TrustedScriptURL' assignment.");
};

it('of another origin: an error that says what to do', () => {
  workers(() => {
    throw new DOMException('cannot be accessed from origin', 'SecurityError');
  });
  expect(() => startWorker('https://cdn.example/w.js')).toThrow(DeviceError);
  expect(() => startWorker('https://cdn.example/w.js')).toThrow(
    /^the worker https:\/\/cdn\.example\/w\.js was refused .*serve dist\/ and wasm\/ .* workerUrl/,
  );
});

it('Trusted Types: the page’s own trusted address is used', () => {
  const started = workers(onlyTrusted);
  const address = trusted('/w.js');
  startWorker(address);
  expect(started).toEqual([address]);
});

it('Trusted Types: a plain address becomes trusted by the policy of the package, created once', () => {
  const started = workers(onlyTrusted);
  const createPolicy = vi.fn((_, { createScriptURL }) => ({
    createScriptURL: (text: string) => trusted(createScriptURL(text)),
  }));
  vi.stubGlobal('trustedTypes', { createPolicy });
  startWorker('/w.js');
  startWorker(new URL('http://shop.example/w.js'));
  expect(started.map(String)).toEqual(['/w.js', 'http://shop.example/w.js']);
  expect(createPolicy.mock.calls.map(([name]) => name)).toEqual(['tandem']);
});

it('Trusted Types without an address: an error that names the policy', async () => {
  workers(onlyTrusted);
  vi.stubGlobal('document', Object.assign(new EventTarget(), { baseURI: 'http://shop.example/' }));
  vi.spyOn(Recommender, 'missingFeature').mockReturnValue(null);
  await expect(createRecommender({ server: '/' })).rejects.toMatchObject({
    name: 'DeviceError',
    code: 'worker_failed',
    message: expect.stringContaining('pass workerUrl and allow this package’s policy'),
  });
});
