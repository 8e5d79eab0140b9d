// Requests of the page: delay, sizes, shared files, changed settings.
import { afterEach, expect, it, vi } from 'vitest';
import { changedManifest, Wire } from '../src/wire.ts';

afterEach(() => vi.unstubAllGlobals());

const manifest = {
  version: 1,
  fusion: { rule: 'weighted', alpha: 0.2, unlisted_gap: 0 },
  language_models: [{ name: 'a', fusion: { rule: 'weighted', alpha: 0.4 } }],
  learning: { row_rate: 0.1, preference_rate: 0.5, replay: 3 },
};

it('leaves the manifest as it is without changes', () => {
  expect(changedManifest(manifest, { alpha: null, learning: true })).toEqual(manifest);
});

it('sets the weight of every language model, and no learning rate', () => {
  expect(changedManifest(manifest, { alpha: 0.9, learning: false })).toEqual({
    version: 1,
    fusion: { rule: 'weighted', alpha: 0.9, unlisted_gap: 0 },
    language_models: [{ name: 'a', fusion: { rule: 'weighted', alpha: 0.9 } }],
    learning: { row_rate: 0, adapter_rate: 0, preference_rate: 0, replay: 3 },
  });
});

it('does not touch a fusion rule that has no weight', () => {
  const paper = { fusion: { rule: 'paper', beta: 1 } };
  expect(changedManifest(paper, { alpha: 0.9, learning: true })).toEqual(paper);
});

it('reports size and status of a request for a list, and passes its response on', async () => {
  vi.stubGlobal('fetch', async () => new Response('{"candidates":[]}', { status: 200 }));
  const wire = new Wire();
  const seen = vi.fn();
  wire.onExchange = seen;
  const response = await wire.fetch('http://s/v1/candidates', { method: 'POST', body: 'abc' });
  expect(await response.text()).toBe('{"candidates":[]}');
  expect(seen).toHaveBeenCalledWith(
    expect.objectContaining({ bytesUp: 3, bytesDown: 17, status: 200 }),
  );
});

it('adds the chosen delay to requests for lists only', async () => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', async () => new Response('{}'));
  const wire = new Wire();
  wire.delayMs = 500;
  let answered = false;
  const list = wire.fetch('http://s/v1/candidates', { method: 'POST', body: '' }).then(() => {
    answered = true;
  });
  await wire.fetch('http://s/v1/models');
  await vi.advanceTimersByTimeAsync(400);
  expect(answered).toBe(false);
  await vi.advanceTimersByTimeAsync(200);
  await list;
  expect(answered).toBe(true);
  vi.useRealTimers();
});

it('fetches a shared file once for page and package, and again at the next attempt', async () => {
  const fetched = vi.fn(async () => new Response('file', { headers: { 'x-artifacts': 'abc' } }));
  vi.stubGlobal('fetch', fetched);
  vi.stubGlobal('document', { baseURI: 'http://s/' });
  const wire = new Wire();
  const page = await wire.share('./artifacts/a/items.json', new AbortController().signal);
  const own = await wire.fetch('http://s/artifacts/a/items.json');
  expect([await page.text(), await own.text()]).toEqual(['file', 'file']);
  expect(own.headers.get('x-artifacts')).toBe('abc');
  expect(fetched).toHaveBeenCalledTimes(1);
  await wire.fetch('http://s/artifacts/a/items.json');
  expect(fetched).toHaveBeenCalledTimes(2);
});

it('passes an unchanged manifest on byte by byte', async () => {
  vi.stubGlobal('fetch', async () => new Response('{ "version": 1 }'));
  const response = await new Wire().fetch('http://s/v1/manifest');
  expect(await response.text()).toBe('{ "version": 1 }');
});

it('names a changed manifest by its own hash, and the release for the server', async () => {
  const headers = { 'x-artifacts': '0123456789abcdef' };
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (href: string, init?: RequestInit) => {
    asked.push(`${href} ${init?.body ?? ''}`);
    return new Response(JSON.stringify(manifest), { headers });
  });
  const wire = new Wire();
  wire.changes = { alpha: 0.9, learning: true };
  const changed = await wire.fetch('http://s/v1/manifest');
  const text = await changed.text();
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  const name = [...new Uint8Array(digest)]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .slice(0, 16);
  expect(changed.headers.get('x-artifacts')).toBe(name);
  await wire.fetch(`http://s/artifacts/${name}/rows.bin`);
  const body = JSON.stringify({ release: name });
  const list = await wire.fetch('http://s/v1/candidates', { method: 'POST', body });
  expect(list.headers.get('x-artifacts')).toBe(name);
  expect(asked.slice(1)).toEqual([
    'http://s/artifacts/0123456789abcdef/rows.bin ',
    'http://s/v1/candidates {"release":"0123456789abcdef"}',
  ]);
});
