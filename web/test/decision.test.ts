// What the meter says: the decision that is shown beside it, and what has come of it.
import type { Decision, Stats } from '@tandem-rec/client';
import { expect, it } from 'vitest';
import { reading } from '../src/view/decision.ts';

const kept: Decision = {
  action: 'keep',
  code: 'rankings_agree',
  reason: 'rankings agree (0.20 ≤ 0.35)',
  disagreement: 0.2,
  threshold: 0.35,
  waitMs: null,
};
const asked: Decision = {
  ...kept,
  action: 'request',
  code: 'rankings_disagree',
  disagreement: 0.45,
};

/** How things stand after a decision, so many clicks after the list in use was made. */
const since = (decision: Decision, clicksSinceList: number) => ({
  decision,
  stats: { clicksSinceList } as Stats,
});

it('is of the decision, and of the list that it brought', () => {
  expect(reading(asked, since(asked, 3))).toEqual({
    figure: '0.45',
    note: 'the cloud is asked above 0.35',
  });
  expect(reading(asked, since({ ...kept, disagreement: 0.05 }, 0))).toEqual({
    figure: '0.45',
    note: 'the cloud is asked above 0.35, with the new list 0.05',
  });
});

it('says nothing of a new list while there is none', () => {
  const later = { ...asked, disagreement: 0.47 };
  expect(reading(asked, since(later, 4)).note).toBe('the cloud is asked above 0.35');
});

it('has as many digits as tell figure and threshold apart', () => {
  const close = { ...kept, disagreement: 0.3472 };
  expect(reading(close, null)).toEqual({
    figure: '0.3472',
    note: 'the cloud is asked above 0.3500',
  });
  expect(reading({ ...kept, disagreement: 0.35 }, null).figure).toBe('0.35');
});

it('names no threshold where the rule goes by something else', () => {
  const helps = { ...asked, code: 'fresh_list_helps' };
  expect(reading(helps, null)).toEqual({ figure: '0.45', note: '' });
});

it('knows when there was nothing to compare', () => {
  const first = { ...asked, code: 'no_candidates', disagreement: null };
  expect(reading(first, since(first, 0)).figure).toBe('–');
  expect(reading(first, since(kept, 0)).note).toContain('with the new list 0.20');
});
