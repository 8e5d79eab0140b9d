// Rules for the shown items: evaluated on the page, in their order.
import { expect, it } from 'vitest';
import { applyRules, type Rule } from '../src/page/rules.js';
import { update } from './stand.js';

const shown = (rules: Rule[]): string =>
  applyRules(update().items, rules)
    .map(({ item }) => item)
    .join('');

it.each<[string, Rule[], string]>([
  ['none', [], 'abcd'],
  ['never', [{ type: 'never', items: ['b', 'x'] }], 'acd'],
  ['first', [{ type: 'first', items: ['d', 'c'] }], 'cdab'],
  ['last', [{ type: 'last', items: new Set(['a']) }], 'bcda'],
  ['one of a group', [{ type: 'atMost', count: 1, group: (i) => (i < 'c' ? 'ab' : null) }], 'acd'],
  ['none of a group', [{ type: 'atMost', count: 0, group: () => 'all' }], ''],
  [
    'several, in their order',
    [
      { type: 'first', items: ['b'] },
      { type: 'atMost', count: 1, group: (i) => (i < 'c' ? 'ab' : null) },
    ],
    'bcd',
  ],
])('%s', (_, rules, expected) => expect(shown(rules)).toBe(expected));
