import type { Decision, Update } from '@tandem-rec/client';
import type { ShopState } from '../shop.ts';
import { h, setAttribute, setText } from './dom.ts';

/** The last decision with its reason, and the disagreement of the two models. */
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
      'aria-label': 'Disagreement between the two models',
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
        h('span', {}, 'opposite order'),
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
      const { value: text, note } = disagreementText(shown, update);
      setText(figure, text);
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
        disagreement === null ? 'not known yet' : meterText(shown, value),
      );
    },
  };
}

/**
 * Text beside the disagreement meter. After a requested list has arrived, the note also gives
 * the disagreement on the new list.
 */
export function disagreementText(
  decided: Decision,
  now: Pick<Update, 'decision' | 'stats'> | null,
): { value: string; note: string } {
  const { disagreement, threshold } = decided;
  // Enough digits to distinguish the value from the threshold.
  const apart = Math.abs((disagreement ?? threshold) - threshold);
  const digits = apart > 0 && apart < 0.01 ? 4 : 2;
  const format = (value: number | null): string => value?.toFixed(digits) ?? '–';
  const notes: string[] = [];
  if (byDisagreement(decided)) notes.push(`threshold ${format(threshold)}`);
  const since = now?.decision.disagreement ?? null;
  const arrived = decided.action === 'request' && now?.stats.clicksSinceList === 0;
  if (arrived && since !== disagreement) notes.push(`with the new list ${format(since)}`);
  return { value: format(disagreement), note: notes.join(', ') };
}

/** Text of the meter for screen readers; it names the threshold only where the tick is shown. */
export function meterText(decided: Decision, value: number): string {
  const limit = byDisagreement(decided) ? `, threshold ${decided.threshold.toFixed(2)}` : '';
  return `${value.toFixed(2)}${limit}`;
}

/** Whether the decision compares the disagreement with the threshold. */
function byDisagreement({ code }: Decision): boolean {
  return code.startsWith('rankings_');
}

/** Short text for the action of a decision. */
export function actionWords({ action }: Pick<Decision, 'action'>): string {
  return action === 'request' ? 'New list requested' : 'List kept';
}
