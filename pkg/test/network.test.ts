// The worker's network: the ledger, the cache, aborts.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { HttpRequest, HttpResponse } from '../src/shared/generated.js';
import { Ledger, LISTED, LISTED_BYTES } from '../src/shared/ledger.js';
import { FileCache } from '../src/worker/cache.js';
import { type Fetcher, MANIFEST_PATIENCE_MS, Network } from '../src/worker/network.js';
import { PageFetcher } from '../src/worker/page-fetch.js';
import { settle } from './stand.js';

const HASH = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);
const call = (changes: Partial<HttpRequest> = {}): HttpRequest => ({
  url: 'http://cloud.example/v1/candidates',
  body: null,
  why: 'a test',
  sha256: null,
  cellIndex: null,
  fresh: false,
  ...changes,
});
const send = (
  network: Network,
  request: HttpRequest,
  signal = new AbortController().signal,
): Promise<HttpResponse> => network.send(request, signal);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The part of the Cache API that is used. */
class FakeCache {
  readonly kept = new Map<string, Response>();
  full = false;
  async match(key: string | Request): Promise<Response | undefined> {
    return this.kept.get(typeof key === 'string' ? key : key.url)?.clone();
  }
  async put(key: string, response: Response): Promise<void> {
    if (this.full) throw Object.assign(new Error('full'), { name: 'QuotaExceededError' });
    this.kept.set(key, response);
  }
  async keys(): Promise<Request[]> {
    return [...this.kept.keys()].map((url) => ({ url }) as Request);
  }
  async delete(key: Request): Promise<boolean> {
    return this.kept.delete(key.url);
  }
}

let files: FakeCache;
let faults: string[];
beforeEach(() => {
  files = new FakeCache();
  faults = [];
  vi.stubGlobal('self', { location: { href: 'http://shop.example/worker.js' } });
  vi.stubGlobal('caches', { open: async () => files });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function network(fetcher: Fetcher, { consent = false, key = null as string | null } = {}) {
  const cache = new FileCache(consent, ({ code }) => faults.push(code));
  const ledger = new Ledger();
  return { cache, ledger, network: new Network(fetcher, cache, ledger, key) };
}

const never: Fetcher = (_, signal) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

describe('a response with status 404', () => {
  const own = { type: 'about:blank', title: 'Not Found', status: 404, code: 'not_found' };
  const reason = async (body: string, changes: Partial<HttpRequest>): Promise<string> => {
    const { network: net } = network(async () => new Response(body, { status: 404 }));
    const response = await send(net, call(changes));
    expect(response.status).toBe(404);
    return text(response.body);
  };
  const manifest = { url: 'http://cloud.example/shop/v1/manifest' };

  it.each(['<!doctype html>', '', 'null', '{"error":"Not found"}'])(
    'of another server has the reason: %s',
    async (body) => {
      expect(JSON.parse(await reason(body, manifest))).toEqual({
        ...own,
        detail:
          'there is probably no Tandem server at http://cloud.example/shop: check the option server',
      });
    },
  );

  it('of a Tandem server, or for a file, is not changed', async () => {
    const body = JSON.stringify({ ...own, detail: 'start it with --events' });
    expect(await reason(body, { ...manifest, body: '{}' })).toBe(body);
    expect(await reason('<html>', { sha256: HASH })).toBe('<html>');
  });
});

describe('the ledger', () => {
  it('has every request with time, address, purpose, body and status', async () => {
    const { network: net, ledger } = network(async () => new Response('', { status: 500 }));
    const before = Date.now();
    await send(net, call({ body: '{"history":["é"]}' }));
    const { entries, bytes } = ledger.read();
    expect(entries).toEqual([
      {
        at: expect.any(Number),
        method: 'POST',
        url: 'http://cloud.example/v1/candidates',
        why: 'a test',
        body: '{"history":["é"]}',
        bytes: 18,
        status: 500,
      },
    ]);
    expect(entries[0]?.at).toBeGreaterThanOrEqual(before);
    expect(bytes).toBe(18);
  });

  it('has requests without a response', async () => {
    const { network: net, ledger } = network(() => Promise.reject(new TypeError('no route')));
    vi.stubGlobal('location', { origin: 'http://shop.example' });
    await expect(send(net, call())).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringMatching(/no route.*--allow-origin http:\/\/shop\.example\)$/),
    });
    expect(ledger.read().entries[0]?.status).toBeNull();
  });

  it('lists the newest and counts the rest', () => {
    const ledger = new Ledger();
    for (let number = 0; number < LISTED + 3; number += 1) {
      ledger.note({ url: `${number}`, method: 'POST', why: '', body: 'four', bytes: 4 });
    }
    const { entries, dropped, bytes } = ledger.read();
    expect([entries.length, entries[0]?.url, dropped]).toEqual([LISTED, '3', 3]);
    expect(bytes).toBe(4 * (LISTED + 3));
  });

  it('lists fewer long requests, and at least the newest', () => {
    const ledger = new Ledger();
    const note = (length: number): void => {
      ledger.note({ url: '/', method: 'POST', why: '', body: 'x'.repeat(length), bytes: length });
    };
    for (let number = 0; number < 5; number += 1) note(LISTED_BYTES / 4);
    expect([ledger.read().entries.length, ledger.read().dropped]).toEqual([4, 1]);
    note(2 * LISTED_BYTES);
    const { entries, dropped, bytes } = ledger.read();
    expect([entries.length, dropped, bytes]).toEqual([1, 5, 3.25 * LISTED_BYTES]);
  });
});

describe('a request', () => {
  it('carries the key, and JSON only where there is a body', async () => {
    const seen: Record<string, string>[] = [];
    const { network: net } = network(
      async ({ headers }) => {
        seen.push(headers);
        return new Response('');
      },
      { key: 'pub_1' },
    );
    await send(net, call({ body: '{}' }));
    await send(net, call());
    expect(seen).toEqual([
      { authorization: 'Bearer pub_1', 'content-type': 'application/json' },
      { authorization: 'Bearer pub_1' },
    ]);
  });

  it('ends when its signal is aborted, body included', async () => {
    const slow: Fetcher = async (_, signal) =>
      new Response(
        new ReadableStream({
          start: (stream) => signal.addEventListener('abort', () => stream.error(signal.reason)),
        }),
      );
    for (const fetcher of [never, slow]) {
      const { network: net } = network(fetcher);
      const controller = new AbortController();
      const aborted = expect(send(net, call(), controller.signal)).rejects.toMatchObject({
        code: 'unreachable',
      });
      controller.abort();
      await aborted;
    }
  });
});

describe('files of the model', () => {
  const file = call({ url: 'http://cloud.example/artifacts/1/body', sha256: HASH });

  it('are stored under their hash with consent, and served from the cache', async () => {
    let fetched = 0;
    const fetcher: Fetcher = async () => {
      fetched += 1;
      return new Response('weights');
    };
    const without = network(fetcher);
    await send(without.network, file);
    await settle();
    expect(files.kept.size).toBe(0);

    const { network: net } = network(fetcher, { consent: true });
    expect((await send(net, file)).cached).toBe(false);
    await settle();
    const moved = { ...file, url: 'http://cloud.example/artifacts/2/body' };
    const again = await send(net, moved);
    expect([text(again.body), again.cached, fetched]).toEqual(['weights', true, 2]);
    // `fresh` bypasses a damaged copy.
    expect((await send(net, { ...file, fresh: true })).cached).toBe(false);
    expect(fetched).toBe(3);
  });

  it('are used while they are being stored', async () => {
    files.put = () => new Promise(() => {});
    const { network: net } = network(async () => new Response('weights'), { consent: true });
    expect(text((await send(net, file)).body)).toBe('weights');
  });

  it('are not stored if the server does not have them', async () => {
    const { network: net } = network(async () => new Response('', { status: 404 }), {
      consent: true,
    });
    await send(net, file);
    await settle();
    expect(files.kept.size).toBe(0);
  });

  it('come from the network if the cache fails, which is reported once', async () => {
    files.full = true;
    const { network: net } = network(async () => new Response('weights'), { consent: true });
    await send(net, file);
    await send(net, file);
    await settle();
    expect(faults).toEqual(['quota']);
  });

  it('that are cells are named by their index as well', async () => {
    const { network: net, cache } = network(async () => new Response('cell'), { consent: true });
    await send(net, { ...file, cellIndex: OTHER });
    await settle();
    expect(await cache.get(`cell/${OTHER}/${HASH}`)).not.toBeNull();
    await cache.put('manifest/x', new Response(`{"search":{"cells":{"sha256":"${OTHER}"}}}`));
    await cache.prune();
    expect(await cache.get(`cell/${OTHER}/${HASH}`)).not.toBeNull();
    await cache.put('manifest/x', new Response('{}'));
    await cache.prune();
    expect(await cache.get(`cell/${OTHER}/${HASH}`)).toBeNull();
  });

  it('have https keys where the page has another scheme', async () => {
    vi.stubGlobal('self', { location: { href: 'capacitor://localhost/worker.js' } });
    const { network: net } = network(async () => new Response('weights'), { consent: true });
    await send(net, file);
    await settle();
    expect([...files.kept.keys()]).toEqual([`https://tandem.invalid/__tandem/sha256/${HASH}`]);
  });

  it('are removed from the cache when no manifest names them', async () => {
    const { cache } = network(never, { consent: true });
    await cache.put(`sha256/${HASH}`, new Response('new'));
    await cache.put(`sha256/${OTHER}`, new Response('old'));
    await cache.put('manifest/x', new Response(`{"body":{"sha256":"${HASH}"}}`));
    await cache.prune();
    expect(await cache.get(`sha256/${HASH}`)).not.toBeNull();
    expect(await cache.get(`sha256/${OTHER}`)).toBeNull();
    expect(await cache.get('manifest/x')).not.toBeNull();
  });
});

describe('the manifest', () => {
  const manifest = call({ url: 'http://cloud.example/v1/manifest' });
  const ok: Fetcher = async () => new Response('{}', { headers: { 'x-artifacts': 'beef' } });

  it.each<[string, Fetcher]>([
    ['unreachable', () => Promise.reject(new TypeError('no route'))],
    ['broken', async () => new Response('', { status: 500 })],
    ['overloaded', async () => new Response('', { status: 429 })],
  ])('is the cached one if the server is %s', async (_, fetcher) => {
    await send(network(ok, { consent: true }).network, manifest);
    const reply = await send(network(fetcher, { consent: true }).network, manifest);
    expect(reply).toMatchObject({ status: 200, artifacts: 'beef', cached: true });
  });

  it('has a short time limit if one is cached', async () => {
    await send(network(ok, { consent: true }).network, manifest);
    vi.useFakeTimers();
    const reply = send(network(never, { consent: true }).network, manifest);
    await vi.advanceTimersByTimeAsync(MANIFEST_PATIENCE_MS);
    expect((await reply).cached).toBe(true);
  });

  it('is the server’s if it answers', async () => {
    await send(network(ok, { consent: true }).network, manifest);
    const newer: Fetcher = async () => new Response('{"version":1}');
    const reply = await send(network(newer, { consent: true }).network, manifest);
    expect([text(reply.body), reply.cached]).toEqual(['{"version":1}', false]);
  });
});

describe('a fetch of the page’s own', () => {
  it('is requested and answered by message', async () => {
    const asked: unknown[] = [];
    const page = new PageFetcher((notice) => asked.push(notice));
    const { network: net } = network(page.fetch);
    const reply = send(net, call({ body: '{}' }));
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    expect(asked[0]).toMatchObject({ kind: 'fetch', id: 1, request: { method: 'POST' } });
    page.answer(1, { status: 429, headers: { 'retry-after': '7' }, body: new Uint8Array([65]) });
    expect(await reply).toMatchObject({ status: 429, retryAfter: '7' });
    expect(text((await reply).body)).toBe('A');
  });

  it('can fail and be aborted', async () => {
    const asked: unknown[] = [];
    const page = new PageFetcher((notice) => asked.push(notice));
    const { network: net } = network(page.fetch);
    const failed = expect(send(net, call())).rejects.toMatchObject({ code: 'unreachable' });
    await vi.waitFor(() => expect(asked).toHaveLength(1));
    page.answer(1, { error: 'no route' });
    await failed;
    const controller = new AbortController();
    const aborted = expect(send(net, call(), controller.signal)).rejects.toMatchObject({
      code: 'unreachable',
    });
    await vi.waitFor(() => expect(asked).toHaveLength(2));
    controller.abort();
    await aborted;
    expect(asked[2]).toEqual({ kind: 'abortFetch', id: 2 });
  });
});
