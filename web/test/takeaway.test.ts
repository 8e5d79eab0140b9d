// The sentence above the plot of the evidence page, from its own points.
import { expect, it } from 'vitest';
import type { Point } from '../src/evidence/summary.ts';
import { takeaway } from '../src/evidence/takeaway.ts';

const point = (name: string, calls: number, mean: number, search = false): Point => ({
  ...{ dataset: 'x', protocol: 'session', name, variant: null, search, learning: true },
  ...{ ndcg10: { mean, sd: null }, hr10: { mean: 1 - mean, sd: null } },
  ...{ budget: null, calls, seeds: 1, command: '' },
});
const points = [
  point('fusion-never', 0, 0.1),
  point('fusion-always', 9, 0.2),
  point('fusion-uplift', 0.5, 0.15),
  point('fusion-uplift', 2.3, 0.19),
  point('fusion-uplift', 1.24, 0.179),
  point('fusion-uplift', 0.1, 0.3, true),
];

it('names the fewest calls that keep most of the gain', () => {
  expect(takeaway(points, 'ndcg10')).toBe(
    '1.2 calls per session instead of 9.0 keep more than three quarters of the gain.',
  );
});

it('says nothing where calls gain nothing, or nothing was measured', () => {
  expect(takeaway(points, 'hr10')).toBeNull();
  expect(takeaway(points.slice(0, 3), 'ndcg10')).toBeNull();
  expect(takeaway([], 'ndcg10')).toBeNull();
});
