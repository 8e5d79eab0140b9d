import { describe, expect, it } from 'vitest';
import { keyOf, type StoredList, staticServer } from '../src/static-site/static-server.ts';

const RELEASE = 'https://host.example/tandem/artifacts/0123abcd';

const list = (...items: string[]): StoredList => ({
  model: 'm',
  catalogue_hash: 'c',
  ranking: 'language_model',
  candidates: items.map((item, at) => ({ item, logprob: -at })),
});

/** As the script that makes the lists computes them: SHA-256 of the history's JSON. */
const keys = {
  none: '4f53cda18c2baa0c',
  a: '0eb5b8d6f81bc677',
  umlaut: 'f8140218eddfd587',
};
const keyOfB = await keyOf(['b']);
const keyOfAB = await keyOf(['a', 'b']);

const files: Record<string, unknown> = {
  'manifest.json': { version: 1 },
  'models.json': { models: [] },
  [`lists/${keys.none}.json`]: list('a', 'b', 'c'),
  [`lists/${keys.a}.json`]: list('b', 'c', 'd'),
  [`lists/${keyOfB}.json`]: list('x', 'a', 'y'),
  [`lists/${keyOfAB}.json`]: list('c', 'd', 'e'),
  'lists/index.json': { longest: 2, keys: [keyOfAB] },
};

function site(): { fetch: typeof fetch; asked: string[] } {
  const asked: string[] = [];
  const server = staticServer(RELEASE, async (input) => {
    const name = String(input).slice(RELEASE.length + 1);
    asked.push(name);
    return name in files ? Response.json(files[name]) : new Response('', { status: 404 });
  });
  return { fetch: server, asked };
}

async function candidates(send: typeof fetch, body: unknown): Promise<string[]> {
  const init = { method: 'POST', body: JSON.stringify(body) };
  const response = await send('https://host.example/tandem/v1/candidates', init);
  expect(response.headers.get('x-artifacts')).toBe('0123abcd');
  const { candidates, model, timings } = await response.json();
  expect([model, timings.total_ms]).toEqual(['m', 0]);
  return candidates.map(({ item }: { item: string }) => item);
}

describe('a site without a server', () => {
  it('names lists as the script that makes them', async () => {
    expect(await keyOf([])).toBe(keys.none);
    expect(await keyOf(['a'])).toBe(keys.a);
    expect(await keyOf(['ü', '2'])).toBe(keys.umlaut);
  });

  it('answers with the list for the longest known end of a history', async () => {
    const { fetch } = site();
    expect(await candidates(fetch, { history: [] })).toEqual(['a', 'b', 'c']);
    expect(await candidates(fetch, { history: ['a'] })).toEqual(['b', 'c', 'd']);
    expect(await candidates(fetch, { history: ['z', 'a', 'b'] })).toEqual(['c', 'd', 'e']);
  });

  it('leaves out what the visitor has had, what is excluded, and more than was asked for', async () => {
    const { fetch } = site();
    // No list for b after c: the one for b, without the history.
    expect(await candidates(fetch, { history: ['a', 'c', 'b'] })).toEqual(['x', 'y']);
    expect(await candidates(fetch, { history: [], exclude: ['a'], k: 1 })).toEqual(['b']);
  });

  it('reads the index once, and only for histories of several items', async () => {
    const { fetch, asked } = site();
    await candidates(fetch, { history: ['a'] });
    expect(asked).not.toContain('lists/index.json');
    await candidates(fetch, { history: ['a', 'b'] });
    await candidates(fetch, { history: ['b', 'a'] });
    expect(asked.filter((name) => name === 'lists/index.json')).toHaveLength(1);
  });

  it('gives the manifest the name of its release, as a server does', async () => {
    const { fetch, asked } = site();
    const response = await fetch('https://host.example/tandem/v1/manifest');
    expect(response.headers.get('x-artifacts')).toBe('0123abcd');
    expect(await response.json()).toEqual({ version: 1 });
    await fetch('https://host.example/tandem/v1/models');
    expect(asked).toEqual(['manifest.json', 'models.json']);
  });
});
