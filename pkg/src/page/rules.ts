import type { RankedItem } from '../shared/update.js';

/**
 * A rule of the page or of the visitor for what is shown. Rules are evaluated on the page
 * and never sent; the cloud's list only becomes shorter by them.
 */
export type Rule =
  /** Never these items. */
  | { type: 'never'; items: Iterable<string> }
  /** At most so many of a kind, the best of them; `group` names the kind, `null` for none. */
  | { type: 'atMost'; count: number; group: (item: string) => string | null }
  /** These items before all others, where they are in the list. */
  | { type: 'first'; items: Iterable<string> }
  /** These items after all others. */
  | { type: 'last'; items: Iterable<string> };

/** Applies rules in their order to a list, best first. */
export function applyRules(items: readonly RankedItem[], rules: readonly Rule[]): RankedItem[] {
  return rules.reduce<RankedItem[]>((list, rule) => applyRule(list, rule), [...items]);
}

function applyRule(list: RankedItem[], rule: Rule): RankedItem[] {
  switch (rule.type) {
    case 'never': {
      const barred = new Set(rule.items);
      return list.filter(({ item }) => !barred.has(item));
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
