import type { RecommendedItem } from '@tandem-rec/client';
import { type Catalogue, type Film, search } from '../catalogue.ts';

/** What the shop's own database says about a product. */
export interface Product {
  /** In euros. */
  price: number;
  stock: boolean;
  maker: string;
}

/** Prices and stock of a shop. */
export interface Goods {
  /** Whether products and visitors are made up. */
  generated: boolean;
  visitors: number;
  events: number;
  products: Readonly<Record<string, Product>>;
}

/** What the visitor wants to see. */
export interface Choice {
  category: string | null;
  /** Highest price; `null`: any. */
  price: number | null;
  inStock: boolean;
}

export const everything: Choice = { category: null, price: null, inStock: true };

/** Products that can be bought; `null` if the shop has no stock file. */
export function inStock(goods: Goods | null): string[] | null {
  if (goods === null) return null;
  return Object.entries(goods.products).flatMap(([item, { stock }]) => (stock ? [item] : []));
}

/**
 * The filter of category and price for the package. Stock is not part of it: the device gets it
 * with `setAvailable`, so that its search and the lists leave out what is sold out.
 */
export function filterOf(
  { category, price }: Choice,
  catalogue: Catalogue,
  goods: Goods | null,
): (item: Pick<RecommendedItem, 'item'>) => boolean {
  return ({ item }) =>
    (category === null || (catalogue.films.get(item)?.genres.includes(category) ?? false)) &&
    (price === null || (goods?.products[item]?.price ?? 0) <= price);
}

/** Products of the shop that match the choice and the words of a search. */
export function browseGoods(
  catalogue: Catalogue,
  goods: Goods | null,
  choice: Choice,
  query: string,
  limit: number,
): Film[] {
  const matches = filterOf(choice, catalogue, goods);
  const wanted = (product: Film): boolean =>
    matches(product) && (!choice.inStock || goods?.products[product.item]?.stock !== false);
  if (query.trim() !== '') {
    return search([...catalogue.films.values()].filter(wanted), query, limit);
  }
  const popular = catalogue.popular.flatMap((item) => catalogue.films.get(item) ?? []);
  const first = new Set(popular);
  const rest = [...catalogue.films.values()].filter((product) => !first.has(product));
  return [...popular, ...rest].filter(wanted).slice(0, limit);
}

/** The highest price, rounded up to tens. */
export function highestPrice(goods: Goods | null): number {
  const prices = Object.values(goods?.products ?? {}).map(({ price }) => price);
  return Math.ceil(Math.max(0, ...prices) / 10) * 10;
}

const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });

export function money(price: number): string {
  return euros.format(price);
}
