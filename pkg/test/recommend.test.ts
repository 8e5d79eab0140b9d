// What `recommend()` returns: the first list, titles, several lists on a page, diversity.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { diversified } from '../src/page/diversity.js';
import {
  engineOf,
  FakeClient,
  FakeWorker,
  Frames,
  open,
  ranked,
  request,
  settle,
  stand,
  update,
} from './stand.js';

beforeEach(() => new Frames().install());
afterEach(() => vi.useRealTimers());

const ids = (items: readonly { item: string }[]): string => items.map(({ item }) => item).join('');

describe('the first list', () => {
  it('is waited for', async () => {
    const { client, recommender } = await stand();
    client.items = [];
    client.decision = request;
    const first = recommender.recommend({ k: 2 });
    await settle();
    expect(client.calls).toEqual(['recommend', 'request']);
    client.items = null;
    client.requests[0]?.resolve(update());
    expect(ids((await first).items)).toBe('ab');
  });

  it.each([0, 300])('is waited for %i ms, if that is the limit', async (wait) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { client, recommender } = await stand();
    client.items = [];
    client.decision = request;
    let shown: string | null = null;
    void recommender.recommend({ wait }).then(({ items }) => {
      shown = ids(items);
    });
    await settle();
    if (wait > 0) {
      vi.advanceTimersByTime(wait - 1);
      await settle();
      expect(shown).toBeNull();
      vi.advanceTimersByTime(1);
      await settle();
    }
    expect(shown).toBe('');
  });

  it('is waited for as long as a request may take', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { client, recommender } = await stand({ timeoutMs: 1_500 });
    client.items = [];
    client.decision = request;
    const first = recommender.recommend();
    await settle();
    vi.advanceTimersByTime(1_500);
    expect((await first).items).toEqual([]);
  });
});

describe('titles', () => {
  const catalogue = [
    { item: 'a', title: 'Alien', year: 1979, genres: ['Horror'] },
    { item: 'b', title: '' },
    { item: 'e', title: 'Eraserhead', price: 3 },
  ];

  it('and other fields of the catalogue are with the items of every ranking', async () => {
    const served: Record<string, unknown> = {
      '/v1/manifest': { items: { sha256: 'hash', path: 'items.json' } },
      '/artifacts/x/items.json': catalogue,
    };
    const client = new FakeClient();
    client.catalogue = ['a', 'b', 'e'];
    const worker = () =>
      new FakeWorker(async ({ server }, { network }) => {
        for (const [path, sha256] of [
          ['/v1/manifest', null],
          ['/artifacts/x/items.json', 'hash'],
        ] as const) {
          const request = { url: `${server}${path}`, body: null, why: '', sha256 };
          const { signal } = new AbortController();
          await network.send({ ...request, cellIndex: null, fresh: false }, signal);
        }
        return engineOf(client);
      });
    const fetch = async (url: string | URL | Request) =>
      Response.json(served[new URL(String(url)).pathname]);
    const first = worker();
    const recommender = await open(first, { fetch });
    const { items } = await recommender.recommend();
    expect(items[0]).toMatchObject({
      item: 'a',
      score: -0,
      title: 'Alien',
      fields: { year: 1979, genres: ['Horror'] },
    });
    expect(items.slice(1).map(({ title }) => title)).toEqual([undefined, undefined, undefined]);
    expect(items[1]).not.toHaveProperty('fields');
    expect(items[2]).not.toHaveProperty('fields');
    expect((await recommender.explain('a'))?.item).toEqual(items[0]);
    client.similar = async () => [
      { item: 'e', similarity: 0.9 },
      { item: 'b', similarity: 0.5 },
    ];
    expect(await recommender.similar('a')).toEqual([
      { item: 'e', similarity: 0.9, title: 'Eraserhead', fields: { price: 3 } },
      { item: 'b', similarity: 0.5 },
    ]);
    client.exhausted = false;
    const filter = ({ title }: { title?: string }) => title !== undefined;
    expect((await recommender.recommend({ k: 9, filter })).items.map(({ title }) => title)).toEqual(
      ['Alien', 'Eraserhead'],
    );
    const seen: (string | undefined)[] = [];
    recommender.on('update', (delivered) => seen.push(delivered.items[0]?.title));
    await recommender.track({ type: 'click', item: 'x' });
    expect(seen).toEqual(['Alien']);
  });

  it('are absent where the device does not load the catalogue', async () => {
    const { recommender } = await stand();
    const { items } = await recommender.recommend({ k: 1 });
    expect(items).toEqual([ranked('a', 0)]);
  });
});

describe('items that the server does not know', () => {
  it('are a warning with their names', async () => {
    const fetch = async () => Response.json({ rows_hash: 'h', rows: [{ item: 'a', row: '' }] });
    const worker = new FakeWorker(async ({ server }, { network }) => {
      const client = new FakeClient();
      client.network = { network, server };
      return engineOf(client);
    });
    const recommender = await open(worker, { fetch });
    const errors: string[] = [];
    recommender.on('error', ({ name, code, message }) => errors.push(`${name} ${code} ${message}`));
    // As the client asks for rows of clicked items.
    const rows = JSON.stringify({ items: ['a', 'nope'] });
    const ask = (id: number, why: string): void =>
      worker.postMessage({
        kind: 'call',
        id,
        command: { type: 'send', path: '/v1/rows', body: rows, why },
      });
    ask(99, 'rows of clicked items');
    await settle();
    expect(errors).toHaveLength(1);
    // The page may allow items that the server does not know.
    ask(100, 'rows of available items');
    await settle();
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(
      /^UsageError unknown_item expected items of the catalogue, found 'nope': .* POST \/v1\/items$/,
    );
  });
});

describe('several lists on a page', () => {
  it('have no item in common, also when they are filled at the same time', async () => {
    const { recommender } = await stand();
    const [top, side] = await Promise.all([
      recommender.recommend({ placement: 'top', k: 2 }),
      recommender.recommend({ placement: 'side', k: 2 }),
    ]);
    expect([ids(top.items), ids(side.items)]).toEqual(['ab', 'cd']);
    // A placement that is filled again may keep its items.
    expect(ids((await recommender.recommend({ placement: 'top', k: 3 })).items)).toBe('ab');
    recommender.releasePlacement('side');
    expect(ids((await recommender.recommend({ placement: 'top', k: 3 })).items)).toBe('abc');
  });

  it('search further for what the others leave', async () => {
    const { client, recommender } = await stand();
    client.exhausted = false;
    client.catalogue = [...'abcdefgh'];
    await recommender.recommend({ placement: 'top', k: 3 });
    const { items } = await recommender.recommend({ placement: 'side', k: 3, exclude: ['e'] });
    expect(ids(items)).toBe('dfg');
  });

  it('do not stop at one that fails', async () => {
    const { recommender } = await stand();
    const failing = recommender.recommend({
      placement: 'top',
      filter: () => {
        throw new Error('the page’s own');
      },
    });
    const next = recommender.recommend({ placement: 'side', k: 1 });
    await expect(failing).rejects.toThrow('the page’s own');
    expect(ids((await next).items)).toBe('a');
  });

  it('have an id each', async () => {
    const { recommender } = await stand();
    const [one, two] = [await recommender.recommend(), await recommender.recommend()];
    expect(one.recommendation).toMatch(/^[a-z0-9]{8,}$/);
    expect(two.recommendation).not.toBe(one.recommendation);
  });
});

describe('diversity', () => {
  // Scores 1, 2/3, 1/3, 0 after scaling.
  const items = ['a', 'b', 'c', 'd'].map(ranked);
  const likeA = async (item: string) =>
    item === 'a'
      ? [
          { item: 'b', similarity: 0.9 },
          { item: 'c', similarity: -0.5 },
        ]
      : [];

  it.each([
    // b: 0.5 · 2/3 − 0.5 · 0.9 = −0.117; c: 0.5 · 1/3 = 0.167; d: 0.
    [0.5, 'acdb'],
    // b: 0.8 · 2/3 − 0.2 · 0.9 = 0.353; c: 0.8 · 1/3 = 0.267.
    [0.2, 'abcd'],
    [0, 'abcd'],
  ])('of %f gives the order of maximal marginal relevance', async (diversity, expected) => {
    expect(ids(await diversified(items, undefined, diversity, likeA))).toBe(expected);
  });

  it('keeps the order where rows are not on the device', async () => {
    expect(ids(await diversified(items, 3, 0.9, async () => null))).toBe('abcd');
  });

  it('orders only as many items as are shown, before rules and k', async () => {
    const { client, recommender } = await stand();
    client.similar = async (item) => likeA(item);
    const similar = vi.spyOn(client, 'similar');
    const rules = [{ type: 'first', items: ['d'] }] as const;
    const { items: shown } = await recommender.recommend({ k: 3, diversity: 0.5, rules });
    expect(ids(shown)).toBe('dac');
    expect(similar.mock.calls).toEqual([
      ['a', 200],
      ['c', 200],
    ]);
  });
});
