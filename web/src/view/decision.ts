import type { Decision } from '@tandem-rec/client';
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
  const threshold = h('span', { class: 'quiet' });
  const element = h(
    'div',
    { class: 'decision' },
    h('div', {}, action, reason),
    h(
      'div',
      { class: 'meter-box' },
      h('p', { class: 'meter-label' }, 'Disagreement ', figure, ' ', threshold),
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
      // The list may have changed since: the meter shows how things stand now.
      const { disagreement, threshold: limit } = update?.decision ?? shown;
      setText(figure, disagreement === null ? '–' : disagreement.toFixed(2));
      setText(threshold, `cloud is asked above ${limit.toFixed(2)}`);
      const value = Math.min(1, Math.max(0, disagreement ?? 0));
      fill.style.setProperty('inline-size', `${value * 100}%`);
      tick.style.setProperty('inset-inline-start', `${Math.min(1, limit) * 100}%`);
      setAttribute(
        meter,
        'data-above',
        disagreement !== null && disagreement > limit ? 'true' : null,
      );
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

/** What a decision does, in words. */
export function actionWords({ action }: Pick<Decision, 'action'>): string {
  return action === 'request' ? 'Asked the cloud' : 'Kept the list';
}
