import type { ItemId } from '../shared/generated.js';
import type { Arrivals } from '../shared/messages.js';
import type { RecommendedItem } from '../shared/update.js';
import { argument, itemIds, optionsOf } from './check.js';
import { diversified, type Neighbours } from './diversity.js';
import { applyRules, type CheckedRule, checkRules, type Rule } from './rules.js';

/** Options of {@link Recommender.recommend}; evaluated on the page, never sent. */
export interface RecommendOptions {
  /**
   * Maximum number of items; all if absent. If the other options leave fewer items, the device
   * searches further until there are `k`, or no more. In a catalogue in cells it then fetches
   * further cells, the nearest first, at most about 512 KB for a call and never more than
   * `searchMemory` has room for.
   */
  k?: number;
  /** Items to leave out; a number is taken as its decimal text. */
  exclude?: Iterable<ItemId | number>;
  /** Keeps the items for which it returns `true`. */
  filter?: (item: RecommendedItem) => boolean;
  /** Applied in their order, before `k`. */
  rules?: readonly Rule[];
  /**
   * How much the items of the list should differ from each other, 0 to 1 (0): the weight of the
   * similarity to the items above in maximal marginal relevance. Items whose rows are not on the
   * device count as unlike all others.
   */
  diversity?: number;
  /**
   * Name of the place on the page that shows the list. Lists of different placements have no
   * item in common; {@link Recommender.releasePlacement} frees the items of one.
   */
  placement?: string;
  /**
   * How long to wait for a list if there is nothing to recommend, and for further cells if there
   * are fewer than `k` items, in milliseconds; 0: not at all. Default: until the requests have
   * ended, at most `timeoutMs`.
   */
  wait?: number;
}

/** The names of all options. The compiler refuses this list if one is missing. */
const KNOWN = Object.keys({
  k: 0,
  exclude: 0,
  filter: 0,
  rules: 0,
  diversity: 0,
  placement: 0,
  wait: 0,
} satisfies Record<keyof RecommendOptions, 0>);

/** Items of the first longer ranking, and the factor to the next. */
const DEEPER = { first: 400, factor: 4 };

/** How often further cells are fetched for one selection, at most. */
const MAX_FURTHER = 8;

/** Longest delay of a timer; a longer one would fire at once. */
export const MAX_WAIT_MS = 2 ** 31 - 1;

/** Valid options that can be applied several times. */
export interface CheckedOptions extends Omit<RecommendOptions, 'rules'> {
  exclude: ReadonlySet<string>;
  rules: readonly CheckedRule[];
  diversity: number;
}

/** A ranking, and whether a longer one would have no further items. */
interface Ranked extends Arrivals {
  items: RecommendedItem[];
  exhausted: boolean;
}

/** What a selection needs from the worker. */
export interface SelectionSource {
  /** A longer ranking. */
  deeper(k: number): Promise<Ranked>;
  /**
   * Fetches further cells. Not if rows or cells have arrived since the ranking with `arrivals`.
   * Resolves with whether a new ranking may have more items.
   */
  further(arrivals: number): Promise<boolean>;
  neighbours: Neighbours;
}

/** Checks the options and reads their iterators, which can be read only once. */
export function checkOptions(options: RecommendOptions): CheckedOptions {
  optionsOf('recommend', options, KNOWN, '{ k: 12 }');
  const { k, exclude = [], filter, rules = [], diversity = 0, placement, wait } = options;
  if (k !== undefined && !(Number.isInteger(k) && k > 0)) {
    throw argument('k', 'an integer from 1', k);
  }
  if (filter !== undefined && typeof filter !== 'function') {
    throw argument('filter', 'a function', filter);
  }
  if (!(typeof diversity === 'number' && diversity >= 0 && diversity <= 1)) {
    throw argument('diversity', 'a number from 0 to 1', diversity);
  }
  if (placement !== undefined && (typeof placement !== 'string' || placement === '')) {
    throw argument('placement', 'a non-empty string', placement);
  }
  if (wait !== undefined && !(typeof wait === 'number' && wait >= 0)) {
    throw argument('wait', 'a number of milliseconds from 0', wait);
  }
  return {
    ...options,
    exclude: new Set(itemIds('exclude', exclude)),
    rules: checkRules(rules),
    diversity,
    ...(wait === undefined ? {} : { wait: Math.min(wait, MAX_WAIT_MS) }),
  };
}

/**
 * Selects from a ranking; asks for longer rankings, and then for further cells, until there are `k`
 * items, or no more.
 */
export async function selectEnough(
  ranking: Ranked,
  options: CheckedOptions,
  { deeper, further, neighbours }: SelectionSource,
): Promise<RecommendedItem[]> {
  const { k, rules, diversity } = options;
  let { items, exhausted, arrivals } = ranking;
  let kept = keep(items, options);
  const enough = (): boolean => k === undefined || applyRules(kept, rules).length >= k;
  let depth = DEEPER.first;
  for (let left = MAX_FURTHER; !enough(); left -= 1) {
    for (; !enough() && !exhausted; depth *= DEEPER.factor) {
      ({ items, exhausted, arrivals } = await deeper(depth));
      kept = keep(items, options);
    }
    if (enough() || left === 0 || !(await further(arrivals))) break;
    exhausted = false;
  }
  if (diversity > 0) kept = await diversified(kept, k, diversity, neighbours);
  return applyRules(kept, rules).slice(0, k);
}

/** Applies exclusions and filter to ranked items, in this order. */
function keep(
  items: readonly RecommendedItem[],
  { exclude, filter }: CheckedOptions,
): RecommendedItem[] {
  return items.filter((item) => !exclude.has(item.item) && (filter === undefined || filter(item)));
}
