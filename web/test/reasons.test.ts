// Which watched films are named as the reason for a film, and the strip's text.
import type { DescribedExplanation } from '@tandem-rec/client';
import { expect, it } from 'vitest';
import { reasonText, strongestReasons } from '../src/reasons.ts';
import { reasonSentence } from '../src/view/film.ts';
import { savedShare } from '../src/view/hero.ts';
import { decisionText } from '../src/view/strip.ts';

const explained = (logits: Record<string, number>): DescribedExplanation => ({
  item: {
    item: 'x',
    score: 0,
    listed: true,
    llmRank: 0,
    srmRank: 0,
    logprob: 0,
    srmScore: 0,
  },
  rank: 0,
  of: 1,
  contributions: Object.entries(logits).map(([item, logit]) => ({ item, logit })),
});

it.each([
  [{ a: -0.9, b: 0.5, c: 0.1 }, ['b']],
  [{ a: 0.5, b: 0.45, c: 0.44 }, ['a', 'b']],
  [{ a: -0.4, b: 0.001 }, []],
])('%j names %j', (logits, expected) => {
  expect(strongestReasons(explained(logits))).toEqual(expected);
});

it('words the reason with titles, or says where the film comes from', () => {
  const title = (item: string): string => item.toUpperCase();
  expect(reasonText(['a', 'b'], title, '')).toBe('Because you watched A and B');
  expect(reasonText([], title, 'From the cloud')).toBe('From the cloud');
});

const decided = { disagreement: 0.1, threshold: 0.4, waitMs: null };

it('shows expected gain and threshold of the learnt rule', () => {
  const reason = 'a fresh list is not expected to help (gain 0.004 ≤ 0.020)';
  expect(
    decisionText({ ...decided, action: 'keep', code: 'fresh_list_helps_little', reason }),
  ).toBe('cloud not needed (expected gain 0.004 ≤ 0.020)');
});

it('shows the reason of other decisions as it is', () => {
  const reason = 'no candidates yet';
  expect(decisionText({ ...decided, action: 'request', code: 'no_candidates', reason })).toBe(
    'new list requested (no candidates yet)',
  );
});

it('tells a call that is not possible from one that is not needed', () => {
  const reason = 'last call failed (next try in 1 s)';
  expect(decisionText({ ...decided, action: 'keep', code: 'last_call_failed', reason })).toBe(
    `cloud not called: ${reason}`,
  );
});

it('computes the share of calls that were not made', () => {
  expect(savedShare(2, 21)).toBeCloseTo(0.905, 3);
  expect(savedShare(3, 2)).toBeNull();
  expect(savedShare(0, 0)).toBeNull();
});

it('a film without reasons is popular only as long as nothing was watched', () => {
  expect(reasonSentence([], false)).toBe('Popular. You have watched no film yet.');
  expect(reasonSentence([], true)).toBe(
    'No film that you watched raises this one above the others.',
  );
  expect(reasonSentence(['Alien', 'Brazil'], true)).toBe('Because you watched Alien and Brazil.');
});
