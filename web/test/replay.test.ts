// Hits, places and running figures of a replay.
import { expect, it } from 'vitest';
import { hitRate, ndcg, nextVisitor, noScore, placeOf, withPlace } from '../src/replay/scores.ts';
import { Popularity } from '../src/replay/systems.ts';

it('only the first ten items of a list count', () => {
  const list = Array.from({ length: 12 }, (_, at) => `i${at}`);
  expect(placeOf(list, 'i0')).toBe(0);
  expect(placeOf(list, 'i9')).toBe(9);
  expect(placeOf(list, 'i10')).toBeNull();
});

it('the figures are means over all clicks, also of earlier visitors', () => {
  const first = withPlace(withPlace(noScore, 0, 1), null, 0);
  const second = withPlace(nextVisitor(first), 2, 2);
  expect(second.places).toEqual([2]);
  expect(hitRate(second)).toBeCloseTo(2 / 3);
  expect(ndcg(second)).toBeCloseTo((1 + 1 / 2) / 3);
  expect(second.calls).toBe(3);
  expect(hitRate(noScore)).toBeNull();
});

it('popular items that the visitor has had are not recommended', async () => {
  const system = new Popularity(['a', 'b', 'c'], ['b']);
  await system.click('a');
  expect(await system.top()).toEqual(['c']);
});
