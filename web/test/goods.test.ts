// Filters of the second shop, and its generator.
import { expect, it } from 'vitest';
import { files } from '../goods/generate.mjs';
import { catalogueFrom } from '../src/catalogue.ts';
import { browseGoods, everything, filterOf, type Goods, inStock } from '../src/goods/goods.ts';

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

it('generates the same shop every time, with every event on an item of the catalogue', () => {
  const made = files();
  expect(files()).toEqual(made);
  const known = new Set(Object.keys((JSON.parse(made['goods.json']) as Goods).products));
  const events = made['events.csv'].trim().split('\n').slice(1);
  expect(events.length).toBeGreaterThan(10_000);
  expect(events.every((row) => known.has(row.split(',')[1] ?? ''))).toBe(true);
});
