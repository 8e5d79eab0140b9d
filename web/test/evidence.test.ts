// Points of the evidence page from the rows of result files.
import { expect, test } from 'vitest';
import { type ResultRow, summarise } from '../src/evidence/summary.ts';

const row = (own: Partial<ResultRow>): ResultRow => ({
  name: 'fusion-none',
  seed: 7,
  hr10: 0.05,
  ndcg10: 0.03,
  calls: 0,
  budget: 0,
  command: 'tandem evaluate',
  part: 'test',
  history: 'removed',
  refit: false,
  ...own,
});

test('seeds are averaged, other trainings and models are not', () => {
  const rows = [
    row({ small_model: 'sasrec', ndcg10: 0.03 }),
    row({ small_model: 'sasrec', seed: 8, ndcg10: 0.04 }),
    row({ small_model: 'sasrec', variant: 'bce', ndcg10: 0.9 }),
    row({ small_model: 'gru4rec', ndcg10: 0.9 }),
  ];
  const [point, ...others] = summarise('beauty-paper.json', rows);
  expect(others).toEqual([]);
  expect(point?.seeds).toBe(2);
  expect(point?.ndcg10.mean).toBe(0.035);
});

test('trainings of the standard protocol are points of their own', () => {
  const alone = { name: 'srm-sasrec', budget: null, small_model: 'sasrec' };
  const rows = [
    row({ ...alone, variant: 'text', ndcg10: 0.05 }),
    row({ ...alone, variant: 'text-part', ndcg10: 0.06 }),
  ];
  const points = summarise('beauty-standard-signals.json', rows);
  expect(points.map(({ variant, seeds, ndcg10 }) => [variant, seeds, ndcg10.mean])).toEqual([
    ['text', 1, 0.05],
    ['text-part', 1, 0.06],
  ]);
});
