import type { Update } from '@tandem-rec/client';
import type { ClickRecord } from './shop-state.ts';

/** Maximum number of records. */
const MAX_RECORDS = 200;

type Clicks = readonly ClickRecord[];

/** Adds the click that led to an update, which the page had after `shownMs`. */
export function withClick(
  clicks: Clicks,
  { decision, stats, timings, connection }: Update,
  shownMs: number,
): Clicks {
  const { action, reason } = decision;
  const { rerankMs } = timings;
  const alone = connection.state === 'offline';
  const record = {
    ...{ click: stats.clicks, action, reason, rerankMs, shownMs },
    ...{ learnMs: null, requestMs: null, alone },
  };
  return [...clicks, record].slice(-MAX_RECORDS);
}

/** Notes the duration of a learning step at the newest click. */
export function withLearning(clicks: Clicks, ms: number): Clicks {
  return changeAt(clicks, clicks.length - 1, { learnMs: ms });
}

/** Notes that the cloud could not answer the newest click. */
export function withoutAnswer(clicks: Clicks): Clicks {
  return changeAt(clicks, clicks.length - 1, { alone: true });
}

/** Time waited at clicks that both sides could answer, in milliseconds. */
export function waitedMs(clicks: Clicks): number {
  return clicks.reduce((sum, { shownMs, alone }) => (alone ? sum : sum + shownMs), 0);
}

/** Notes the duration of a request at the newest click that led to one. */
export function withRequest(clicks: Clicks, ms: number): Clicks {
  const at = clicks.map(({ action }) => action).lastIndexOf('request');
  return changeAt(clicks, at, { requestMs: ms });
}

function changeAt(clicks: Clicks, at: number, changes: Partial<ClickRecord>): Clicks {
  return clicks.map((record, position) => (position === at ? { ...record, ...changes } : record));
}
