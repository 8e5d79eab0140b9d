import type { Deeper, ItemId, RankedItem } from '../shared/generated.js';
import { argument, itemIds } from './options.js';
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

/** Valid options that can be applied several times. */
export interface CheckedOptions extends RecommendOptions {
  exclude: ReadonlySet<string>;
  rules: readonly Rule[];
}

/** Checks the options and reads their iterators, which can be read only once. */
export function checkOptions(options: RecommendOptions): CheckedOptions {
  const { k, exclude = [], rules = [] } = options;
  if (k !== undefined && !(Number.isInteger(k) && k > 0)) {
    throw argument('k', 'an integer from 1', k);
  }
  return {
    ...options,
    exclude: new Set(itemIds('exclude', exclude)),
    rules: rules.map((rule) => ('items' in rule ? { ...rule, items: new Set(rule.items) } : rule)),
  };
}

/** Selects from a ranking; asks for longer rankings until there are `k` items, or no more. */
export async function selectEnough(
  ranking: Deeper,
  options: CheckedOptions,
  deeper: (k: number) => Promise<Deeper>,
): Promise<RankedItem[]> {
  const { k: wanted = 0 } = options;
  let { items, exhausted } = ranking;
  let selected = select(items, options);
  for (let k = DEEPER.first; selected.length < wanted && !exhausted; k *= DEEPER.factor) {
    ({ items, exhausted } = await deeper(k));
    selected = select(items, options);
  }
  return selected;
}

/** Applies exclusions, filter, rules and `k` to ranked items, in this order. */
function select(items: readonly RankedItem[], options: CheckedOptions): RankedItem[] {
  const { k, exclude, filter, rules } = options;
  const kept = items.filter(
    (item) => !exclude.has(item.item) && (filter === undefined || filter(item)),
  );
  return applyRules(kept, rules).slice(0, k);
}
