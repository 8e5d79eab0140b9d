// @vitest-environment happy-dom
// The cards of the second shop, in a simulated document.
import { expect, it } from 'vitest';
import { catalogueFrom } from '../src/catalogue.ts';
import { everything, type Goods } from '../src/goods/goods.ts';
import { GoodsShop, type GoodsState } from '../src/goods/store.ts';
import { goodsPage } from '../src/goods/view.ts';
import { siteInfo } from '../src/site-info.ts';

const catalogue = catalogueFrom(
  ['a', 'b'].map((item) => ({ item, title: `Product ${item}`, genres: ['Desk'] })),
  { model: { kind: 'sasrec', dims: 8, blocks: 1 }, popular: ['a', 'b'] },
);
const goods: Goods = {
  ...{ generated: true, visitors: 1, events: 1 },
  products: {
    a: { price: 10, stock: true, maker: 'Alder' },
    b: { price: 30, stock: false, maker: 'Birch' },
  },
};
const loading: GoodsState = {
  ...{ phase: 'loading', failure: null, catalogue: null, goods: null, status: null, items: [] },
  ...{ ranked: false, choice: { ...everything, inStock: false }, query: '', history: [] },
  ...{ basket: [], decision: null, rerankMs: null, calls: 0, connection: null, offline: false },
  problem: null,
};

it('adds price, maker and stock to cards that were there before them', () => {
  const root = document.createElement('div');
  const shop = new GoodsShop({ server: './', goods: 'goods.json' }, () => {});
  const render = goodsPage(root, shop, { ...siteInfo(document), goods: 'goods.json' });
  const cards = () => [...root.querySelectorAll('[data-testid="browse"] > li')];
  const seen = () =>
    cards().map((card) =>
      [...card.querySelectorAll('.product-facts, .product-row > :not([hidden])')].map(
        ({ textContent }) => textContent,
      ),
    );
  render({ ...loading, catalogue });
  const before = cards();
  expect(seen()).toEqual([
    ['Desk', 'Add'],
    ['Desk', 'Add'],
  ]);
  render({ ...loading, catalogue, goods });
  expect(seen()).toEqual([
    ['Alder · Desk', '€10.00', 'Add'],
    ['Birch · Desk', '€30.00', 'Sold out'],
  ]);
  // The same elements: focus is kept.
  expect(cards()).toEqual(before);
});
