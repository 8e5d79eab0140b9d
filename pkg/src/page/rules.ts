import type { ItemId } from '../shared/generated.js';
import { argument, itemIds, warnOfUnknown } from './check.js';

/** A rule of the page or the visitor for the shown items; evaluated on the page, never sent. */
export type Rule =
  /** Removes these items. */
  | { type: 'never'; items: Iterable<ItemId | number> }
  /** Keeps the best `count` items of each group; `null` is no group and has no limit. */
  | { type: 'atMost'; count: number; group: (item: ItemId) => string | null }
  /** Moves these items to the front. */
  | { type: 'first'; items: Iterable<ItemId | number> }
  /** Moves these items to the end. */
  | { type: 'last'; items: Iterable<ItemId | number> };

/** A valid rule that can be applied several times. */
export type CheckedRule =
  | { type: 'never' | 'first' | 'last'; items: ReadonlySet<string> }
  | { type: 'atMost'; count: number; group: (item: ItemId) => string | null };

/** The fields of each type of rule. */
const FIELDS: Readonly<Record<Rule['type'], readonly string[] | undefined>> = {
  never: ['type', 'items'],
  atMost: ['type', 'count', 'group'],
  first: ['type', 'items'],
  last: ['type', 'items'],
};

/** Checks rules and reads their iterators, which can be read only once. */
export function checkRules(rules: readonly Rule[]): CheckedRule[] {
  if (!Array.isArray(rules)) throw argument('rules', 'an array of rules', rules);
  return rules.map((rule: Rule, at): CheckedRule => {
    const name = `rules[${at}]`;
    const known = FIELDS[rule?.type];
    if (known !== undefined) warnOfUnknown('recommend', rule, known, { path: `${name}.` });
    switch (rule?.type) {
      case 'never':
      case 'first':
      case 'last':
        return { type: rule.type, items: new Set(itemIds(`${name}.items`, rule.items)) };
      case 'atMost':
        if (!(Number.isInteger(rule.count) && rule.count >= 0)) {
          throw argument(`${name}.count`, 'an integer from 0', rule.count);
        }
        if (typeof rule.group !== 'function') {
          throw argument(`${name}.group`, 'a function', rule.group);
        }
        return rule;
      default:
        throw argument(`${name}.type`, 'never, atMost, first or last', (rule as Rule)?.type);
    }
  });
}

/** Applies rules in their order to items, best first. */
export function applyRules<T extends { item: string }>(
  items: readonly T[],
  rules: readonly CheckedRule[],
): T[] {
  return rules.reduce<T[]>((list, rule) => applyRule(list, rule), [...items]);
}

function applyRule<T extends { item: string }>(list: T[], rule: CheckedRule): T[] {
  if (rule.type === 'atMost') {
    const counts = new Map<string, number>();
    return list.filter(({ item }) => {
      const group = rule.group(item);
      if (group === null) return true;
      const count = counts.get(group) ?? 0;
      counts.set(group, count + 1);
      return count < rule.count;
    });
  }
  const named = list.filter(({ item }) => rule.items.has(item));
  const others = list.filter(({ item }) => !rule.items.has(item));
  if (rule.type === 'never') return others;
  return rule.type === 'first' ? [...named, ...others] : [...others, ...named];
}
