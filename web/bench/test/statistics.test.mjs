import { expect, test } from 'vitest';
import { ratio } from '../report.mjs';
import { median, quantile } from '../statistics.mjs';

test('quantiles are interpolated linearly', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  // Position 0.95 · 4 = 3.8 in [10, 20, 30, 40, 50].
  expect(quantile([50, 10, 40, 20, 30], 0.95)).toBeCloseTo(48);
  expect(quantile([7], 0.95)).toBe(7);
  expect(() => quantile([], 0.5)).toThrow('found none');
});

test('a ratio is our median over their best; null if one is missing', () => {
  const samples = { 'learn tandem': [2, 4, 3], 'learn slow': [30], 'learn fast': [6] };
  expect(ratio(samples, 'learn', ['slow', 'fast'])).toBe(0.5);
  expect(ratio(samples, 'learn', ['absent'])).toBe(null);
  expect(ratio({ 'learn slow': [1] }, 'learn', ['slow'])).toBe(null);
});
