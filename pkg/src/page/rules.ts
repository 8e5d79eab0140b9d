import type { RankedItem } from '../shared/generated.js';

/** A rule of the page or the visitor for the shown items; evaluated on the page, never sent. */
export type Rule =
  /** Removes these items. */
  | { type: 'never'; items: Iterable<string> }
  /** Keeps the best `count` items of each group; `null` is no group and has no limit. */
  | { type: 'atMost'; count: number; group: (item: string) => string | null }
  /** Moves these items to the front. */
  | { type: 'first'; items: Iterable<string> }
  /** Moves these items to the end. */
  | { type: 'last'; items: Iterable<string> };

/** Applies rules in their order to items, best first. */
export function applyRules(items: readonly RankedItem[], rules: readonly Rule[]): RankedItem[] {
  return rules.reduce<RankedItem[]>((list, rule) => applyRule(list, rule), [...items]);
}

function applyRule(list: RankedItem[], rule: Rule): RankedItem[] {
  switch (rule.type) {
    case 'never': {
      const removed = new Set(rule.items);
      return list.filter(({ item }) => !removed.has(item));
    }
    case 'atMost': {
      const counts = new Map<string, number>();
      return list.filter(({ item }) => {
        const group = rule.group(item);
        if (group === null) return true;
        const count = counts.get(group) ?? 0;
        counts.set(group, count + 1);
        return count < rule.count;
      });
    }
    case 'first': {
      const named = new Set(rule.items);
      return [
        ...list.filter(({ item }) => named.has(item)),
        ...list.filter(({ item }) => !named.has(item)),
      ];
    }
    case 'last': {
      const named = new Set(rule.items);
      return [
        ...list.filter(({ item }) => !named.has(item)),
        ...list.filter(({ item }) => named.has(item)),
      ];
    }
  }
}
