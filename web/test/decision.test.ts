// Text beside the disagreement meter.
import type { Decision, Stats } from '@tandem-rec/client';
import { expect, it } from 'vitest';
import { disagreementText, meterText } from '../src/view/decision.ts';
import { currentDecision, decisionText } from '../src/view/strip.ts';

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

/** The update after a decision, `clicksSinceList` clicks after the current list was made. */
const after = (decision: Decision, clicksSinceList: number) => ({
  decision,
  stats: { clicksSinceList } as Stats,
});

it('gives the disagreement of the decision and, after a request, of the new list', () => {
  expect(disagreementText(asked, after(asked, 3))).toEqual({
    value: '0.45',
    note: 'threshold 0.35',
  });
  expect(disagreementText(asked, after({ ...kept, disagreement: 0.05 }, 0))).toEqual({
    value: '0.45',
    note: 'threshold 0.35, with the new list 0.05',
  });
});

it('does not mention a new list before it has arrived', () => {
  const later = { ...asked, disagreement: 0.47 };
  expect(disagreementText(asked, after(later, 4)).note).toBe('threshold 0.35');
});

it('shows enough digits to distinguish value and threshold', () => {
  const close = { ...kept, disagreement: 0.3472 };
  expect(disagreementText(close, null)).toEqual({
    value: '0.3472',
    note: 'threshold 0.3500',
  });
  expect(disagreementText({ ...kept, disagreement: 0.35 }, null).value).toBe('0.35');
});

it('shows a threshold only for decisions by disagreement', () => {
  const codes = [
    'no_candidates',
    'fresh_list_helps',
    'fresh_list_helps_little',
    'nothing_to_compare',
    'list_not_personal',
    'list_used_up',
    'list_too_old',
    'many_clicks',
    'list_up_to_date',
    'scheduled',
    'not_scheduled',
  ] as const;
  for (const code of codes) {
    const decided = { ...asked, code };
    expect(disagreementText(decided, null), code).toEqual({ value: '0.45', note: '' });
    expect(meterText(decided, 0.45), code).toBe('0.45');
  }
  expect(meterText(asked, 0.45)).toBe('0.45, threshold 0.35');
});

it('shows a dash when there is no disagreement value', () => {
  const first = { ...asked, code: 'no_candidates' as const, disagreement: null };
  expect(disagreementText(first, after(first, 0)).value).toBe('–');
  expect(disagreementText(first, after(kept, 0)).note).toContain('with the new list 0.20');
});

it('says in one line whether the cloud was called, with the figures of the reason', () => {
  const close = 'a fresh list is not expected to help (gain 0.03100 ≤ 0.03104)';
  expect(decisionText({ ...kept, code: 'fresh_list_helps_little', reason: close })).toBe(
    'cloud not needed (expected gain 0.03100 ≤ 0.03104)',
  );
  expect(decisionText(kept)).toBe('cloud not needed (rankings agree (0.20 ≤ 0.35))');
  expect(decisionText({ ...kept, code: 'offline', reason: 'offline' })).toBe(
    'cloud not called: offline',
  );
  const first = { ...asked, code: 'no_candidates' as const, reason: 'no candidates yet' };
  expect(decisionText(first)).toBe('new list requested (no candidates yet)');
});

it('drops what no longer holds once the connection has changed', () => {
  const failed: Decision = { ...kept, code: 'last_call_failed', reason: 'last call failed' };
  const latest = (state: 'online' | 'offline' | 'failing', decision: Decision) => ({
    connection: { ...{ code: null, message: null, retryInMs: null }, state },
    decision,
  });
  expect(currentDecision(failed, latest('failing', failed))).toBe(failed);
  expect(currentDecision(failed, latest('online', failed))).toBeNull();
  expect(currentDecision(asked, latest('online', kept))).toBe(asked);
  expect(currentDecision(asked, latest('offline', kept))).toMatchObject({ code: 'offline' });
  expect(currentDecision({ ...kept, code: 'offline' }, latest('online', kept))).toBe(kept);
  const busy: Decision = { ...kept, code: 'call_under_way' };
  expect(currentDecision(busy, latest('online', busy))).toBe(busy);
  expect(currentDecision(busy, latest('online', kept))).toBe(kept);
});
