// Rules for the shown items: evaluated on the page, in their order.
import { expect, it } from 'vitest';
import { applyRules, checkRules, type Rule } from '../src/page/rules.js';
import { update } from './stand.js';

const shown = (rules: Rule[]): string =>
  applyRules(update().items, checkRules(rules))
    .map(({ item }) => item)
    .join('');

it.each<[string, Rule[], string]>([
  ['none', [], 'abcd'],
  ['never', [{ type: 'never', items: ['b', 'x'] }], 'acd'],
  ['first', [{ type: 'first', items: ['d', 'c'] }], 'cdab'],
  ['ids that are numbers', [{ type: 'never', items: [1, 'b'] }], 'acd'],
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

it.each<[string, unknown, string]>([
  ['that are no array', 'never', 'rules: expected an array of rules'],
  ['without a rule', [null], 'rules\\[0\\].type: expected never, atMost'],
  ['of an unknown type', [{ type: 'only', items: [] }], 'rules\\[0\\].type: expected never'],
  ['with a text', [{ type: 'never', items: 'abc' }], 'rules\\[0\\].items: expected ids of items'],
  ['with a BigInt', [{ type: 'first', items: [7n] }], 'rules\\[0\\].items: .* found 7n'],
  [
    'with a negative count',
    [{ type: 'atMost', count: -1, group: () => null }],
    'rules\\[0\\].count',
  ],
  ['without a group', [{ type: 'atMost', count: 1 }], 'rules\\[0\\].group: expected a function'],
])('rules %s are refused', (_, rules, message) => {
  expect(() => checkRules(rules as Rule[])).toThrow(new RegExp(`^${message}`));
});
