import type { Decision, Update } from '@tandem-rec/client';
import type { ShopState } from '../shop.ts';
import { h, setAttribute, setText } from './dom.ts';

/** The last decision in words, and how far the two models are apart. */
export function decisionView(): { element: HTMLElement; render(state: ShopState): void } {
  const action = h('p', { class: 'action', 'data-testid': 'decision-action' });
  const reason = h('p', { class: 'reason', 'data-testid': 'decision-reason' });
  const fill = h('span', { class: 'meter-fill' });
  const tick = h('span', { class: 'meter-tick' });
  const meter = h(
    'div',
    {
      class: 'meter',
      role: 'meter',
      'aria-label': 'Disagreement of the two models',
      'aria-valuemin': '0',
      'aria-valuemax': '1',
      'data-testid': 'disagreement',
    },
    fill,
    tick,
  );
  const figure = h('strong', {});
  const aside = h('span', { class: 'quiet' });
  const element = h(
    'div',
    { class: 'decision' },
    h('div', {}, action, reason),
    h(
      'div',
      { class: 'meter-box' },
      h('p', { class: 'meter-label' }, 'Disagreement ', figure, ' ', aside),
      meter,
      h(
        'p',
        { class: 'meter-ends quiet', 'aria-hidden': 'true' },
        h('span', {}, 'same order'),
        h('span', {}, 'opposite'),
      ),
    ),
  );
  return {
    element,
    render({ decision, update }) {
      const shown = decision ?? update?.decision;
      if (shown === undefined) return;
      setText(action, actionWords(shown));
      setAttribute(action, 'data-action', shown.action);
      setText(reason, shown.reason);
      const { disagreement, threshold: limit } = shown;
      const { figure: read, note } = reading(shown, update);
      setText(figure, read);
      setText(aside, note);
      const value = Math.min(1, Math.max(0, disagreement ?? 0));
      fill.style.setProperty('inline-size', `${value * 100}%`);
      tick.style.setProperty('inset-inline-start', `${Math.min(1, limit) * 100}%`);
      tick.hidden = !byDisagreement(shown);
      setAttribute(meter, 'data-above', byDisagreement(shown) && value > limit ? 'true' : null);
      setAttribute(meter, 'aria-valuenow', value.toFixed(2));
      setAttribute(
        meter,
        'aria-valuetext',
        disagreement === null
          ? 'not known yet'
          : `${value.toFixed(2)}, threshold ${limit.toFixed(2)}`,
      );
    },
  };
}

/**
 * What the meter says of a decision, and of how things stand since: the list that it asked
 * for may have come, on which the two models agree better or worse.
 */
export function reading(
  decided: Decision,
  now: Pick<Update, 'decision' | 'stats'> | null,
): { figure: string; note: string } {
  const { disagreement, threshold } = decided;
  // As many digits as tell the two apart, as in the reason beside it.
  const apart = Math.abs((disagreement ?? threshold) - threshold);
  const digits = apart > 0 && apart < 0.01 ? 4 : 2;
  const figure = (value: number | null): string => value?.toFixed(digits) ?? '–';
  const notes: string[] = [];
  if (byDisagreement(decided)) notes.push(`the cloud is asked above ${figure(threshold)}`);
  const since = now?.decision.disagreement ?? null;
  const came = decided.action === 'request' && now?.stats.clicksSinceList === 0;
  if (came && since !== disagreement) notes.push(`with the new list ${figure(since)}`);
  return { figure: figure(disagreement), note: notes.join(', ') };
}

/** A rule may go by what a fresh list would help instead, which the meter does not show. */
function byDisagreement({ code }: Decision): boolean {
  return !code.startsWith('fresh_list');
}

/** What a decision does, in words. */
export function actionWords({ action }: Pick<Decision, 'action'>): string {
  return action === 'request' ? 'Asked the cloud' : 'Kept the list';
}
