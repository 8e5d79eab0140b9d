import type { Deeper, ItemId, RankedItem } from '../shared/generated.js';
import { argument, itemId } from './options.js';
import { applyRules, type Rule } from './rules.js';

/** Options of {@link Recommender.recommend}; evaluated on the page, never sent. */
export interface RecommendOptions {
  /**
   * Maximum number of items; all if absent. If the other options leave fewer items, the device
   * searches further until there are `k`, or no more.
   */
  k?: number;
  /** Items to leave out; a number is taken as its decimal text. */
  exclude?: Iterable<ItemId | number>;
  /** Keeps the items for which it returns `true`. */
  filter?: (item: RankedItem) => boolean;
  /** Applied in their order, before `k`. */
  rules?: readonly Rule[];
}

/** Items of the first longer ranking, and the factor to the next. */
const DEEPER = { first: 400, factor: 4 };

/** Applies exclusions, filter, rules and `k` to ranked items, in this order. */
export function select(items: readonly RankedItem[], options: RecommendOptions): RankedItem[] {
  const { k, exclude, filter, rules = [] } = options;
  if (k !== undefined && !(Number.isInteger(k) && k > 0)) {
    throw argument('k', 'an integer from 1', k);
  }
  const excluded = new Set([...(exclude ?? [])].map((item) => itemId('exclude', item)));
  const kept = items.filter(
    (item) => !excluded.has(item.item) && (filter === undefined || filter(item)),
  );
  const ruled = applyRules(kept, rules);
  return k === undefined ? ruled : ruled.slice(0, k);
}

/** As {@link select}; asks for longer rankings until there are `k` items, or no more. */
export async function selectEnough(
  ranking: Deeper,
  options: RecommendOptions,
  deeper: (k: number) => Promise<Deeper>,
): Promise<RankedItem[]> {
  // An iterator can be read only once.
  const repeatable = { ...options, exclude: [...(options.exclude ?? [])] };
  let { items, exhausted } = ranking;
  let selected = select(items, repeatable);
  for (let k = DEEPER.first; selected.length < (options.k ?? 0) && !exhausted; k *= DEEPER.factor) {
    ({ items, exhausted } = await deeper(k));
    selected = select(items, repeatable);
  }
  return selected;
}
