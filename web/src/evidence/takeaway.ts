import type { Point } from './summary.ts';

/** Three quarters, as the sentence says. The documents have the share itself, per training seed. */
const NOTABLE = 0.75;

/**
 * What the learnt rule keeps of the gain of a call at every click, at the smallest number of calls
 * that keeps most of it; `null` if no measured budget does. `session`: points of one dataset with
 * or without learning.
 */
export function takeaway(session: readonly Point[], metric: 'ndcg10' | 'hr10'): string | null {
  const listed = session.filter(({ search }) => !search);
  const of = (name: string): Point[] => listed.filter((point) => point.name === name);
  const [never] = of('fusion-never');
  const [always] = of('fusion-always');
  if (never === undefined || always === undefined || always.calls === null) return null;
  const gain = always[metric].mean - never[metric].mean;
  if (gain <= 0) return null;
  const [best] = of('fusion-uplift')
    .map(({ calls, [metric]: { mean } }) => ({
      calls: calls ?? 0,
      share: (mean - never[metric].mean) / gain,
    }))
    .filter(({ calls, share }) => share >= NOTABLE && calls < (always.calls ?? 0))
    .sort((a, b) => a.calls - b.calls);
  return best === undefined
    ? null
    : `${best.calls.toFixed(1)} calls per session instead of ${always.calls.toFixed(1)} keep ` +
        'more than three quarters of the gain.';
}
