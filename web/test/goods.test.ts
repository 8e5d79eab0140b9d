// Filters of the second shop, and its generator.
import { expect, it, vi } from 'vitest';
import { files } from '../goods/generate.mjs';
import { catalogueFrom } from '../src/catalogue.ts';
import { browseGoods, everything, filterOf, type Goods, inStock } from '../src/goods/goods.ts';
import { type GoodsRecommender, GoodsShop, type GoodsState } from '../src/goods/store.ts';
import { leadOf } from '../src/goods/view.ts';

const model = { kind: 'sasrec', dims: 8, blocks: 1 };
const catalogue = catalogueFrom(
  ['a', 'b', 'c'].map((item, at) => ({ item, title: item, genres: [at < 2 ? 'Desk' : 'Audio'] })),
  { model, popular: ['c', 'a'] },
);
const goods: Goods = {
  generated: true,
  visitors: 1,
  events: 1,
  products: {
    a: { price: 10, stock: true, maker: 'm' },
    b: { price: 30, stock: false, maker: 'm' },
    c: { price: 20, stock: true, maker: 'm' },
  },
};

it('filters by category and price, and names what is in stock', () => {
  const cheap = filterOf({ ...everything, category: 'Desk', price: 20 }, catalogue, goods);
  expect(['a', 'b', 'c'].filter((item) => cheap({ item }))).toEqual(['a']);
  expect(inStock(goods)).toEqual(['a', 'c']);
  expect(inStock(null)).toBeNull();
});

it('shows popular products first and sold-out ones only if they are wanted', () => {
  const ids = (choice: typeof everything): string[] =>
    browseGoods(catalogue, goods, choice, '', 9).map(({ item }) => item);
  expect(ids(everything)).toEqual(['c', 'a']);
  expect(ids({ ...everything, inStock: false })).toEqual(['c', 'a', 'b']);
});

it('waits for the first ranking before it shows an empty shelf', async () => {
  const connection = { state: 'online', code: null, message: null, retryInMs: null } as const;
  let listen: (update: object) => void = () => {};
  let rank: (result: object) => void = () => {};
  const recommender = {
    dispose: () => {},
    on: (name: string, listener: (update: object) => void) => {
      if (name === 'update') listen = listener;
      return () => {};
    },
    setAvailable: async () => {
      listen({ cause: 'stock', connection, history: [], stats: { calls: 0 }, timings: {} });
    },
    recommend: () =>
      new Promise((resolve) => {
        rank = resolve;
      }),
  };
  const manifest = { items: { path: 'items.json' }, model };
  const send = async (address: string | URL | Request): Promise<Response> =>
    String(address).endsWith('manifest')
      ? new Response(JSON.stringify(manifest), { headers: { 'x-artifacts': 'x' } })
      : new Response('[]');
  const states: GoodsState[] = [];
  const create = async () => recommender as unknown as GoodsRecommender;
  const shop = new GoodsShop({ server: './', goods: null, send, create }, (state) => {
    states.push(state);
  });
  const opened = shop.open();
  await vi.waitFor(() => expect(states.at(-1)?.connection).not.toBeNull());
  expect(states.at(-1)?.ranked).toBe(false);
  // The ranking of the update and the one after the opening: the newest counts.
  await vi.waitFor(() => expect(states.at(-1)?.phase).toBe('ready'));
  await new Promise((resolve) => setTimeout(resolve));
  rank({ items: [], connection });
  await opened;
  expect(states.at(-1)?.ranked).toBe(true);
});

it('says after a click what the click led to', () => {
  const decision = {
    action: 'request',
    code: 'list_not_personal',
    reason: 'the list is not personal yet',
    disagreement: null,
    threshold: 0,
    waitMs: null,
  } as const;
  const ready = { phase: 'ready', problem: null, connection: null } as const;
  const text = leadOf({ ...ready, rerankMs: 10.6, decision, calls: 2, history: ['a'] });
  expect(text).toBe(
    'Re-ranked in 10.6 ms. New list requested (the list is not personal yet). ' +
      'So far: 1 product, 2 calls.',
  );
  const restored = { ...ready, rerankMs: null, decision: null, calls: 0, history: ['a', 'b'] };
  expect(leadOf(restored)).toBe('So far: 2 products, 0 calls.');
});

it('generates the same shop every time, with every event on an item of the catalogue', () => {
  const made = files();
  expect(files()).toEqual(made);
  const known = new Set(Object.keys((JSON.parse(made['goods.json']) as Goods).products));
  const events = made['events.csv'].trim().split('\n').slice(1);
  expect(events.length).toBeGreaterThan(10_000);
  expect(events.every((row) => known.has(row.split(',')[1] ?? ''))).toBe(true);
});
