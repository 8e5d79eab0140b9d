import type { Decision, Update } from '@tandem-rec/client';
import { milliseconds } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { h, setAttribute, setText } from './dom.ts';

/**
 * The bar at the bottom of the window: what the device did after the last click. It is also
 * the handle of the drawer with the internals.
 */
export function strip(
  actions: { showNewList(): void },
  drawer: HTMLElement,
): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let open = false;
  const rerank = h('span', { class: 'strip-rerank', 'data-testid': 'strip-rerank' });
  const decision = h('span', { class: 'strip-decision', 'data-testid': 'strip-decision' });
  const learnt = h('span', { class: 'strip-learnt', 'data-testid': 'strip-learnt' });
  const fresh = h(
    'button',
    { type: 'button', class: 'fresh', onclick: () => actions.showNewList() },
    'Show the new list',
  );
  const handle = h(
    'button',
    {
      type: 'button',
      class: 'plain',
      'aria-expanded': 'false',
      'aria-controls': 'internals',
      'data-testid': 'internals',
      onclick: () => toggle(!open),
    },
    'Internals',
  );
  const element = h(
    'aside',
    {
      class: 'strip',
      'aria-label': 'Last click',
      onkeydown: (event) => {
        if (event instanceof KeyboardEvent && event.key === 'Escape' && open) {
          toggle(false);
          handle.focus();
        }
      },
    },
    h(
      'div',
      { class: 'strip-line' },
      h('p', { class: 'strip-text' }, rerank, decision, learnt),
      fresh,
      handle,
    ),
    drawer,
  );
  drawer.hidden = true;

  function toggle(wanted: boolean): void {
    open = wanted;
    drawer.hidden = !wanted;
    setAttribute(handle, 'aria-expanded', String(wanted));
    setText(handle, wanted ? 'Close' : 'Internals');
    setAttribute(element, 'data-open', wanted ? 'true' : null);
  }

  return {
    element,
    render({ phase, clicks, decision: last, steps, newList, update, comparing }) {
      element.hidden = phase === 'failed';
      fresh.hidden = !newList;
      const record = clicks.at(-1);
      if (record === undefined || last === null || (update?.history.length ?? 0) === 0) {
        setText(
          rerank,
          comparing ? 'Click a film: both sides get the same click.' : 'Click a film.',
        );
        setText(decision, '');
        setText(learnt, '');
        setAttribute(element, 'data-action', null);
        return;
      }
      const step = steps.at(-1);
      setText(rerank, `Re-ranked in ${milliseconds(record.rerankMs)}`);
      const now = currentDecision(last, update);
      setText(decision, now === null ? '' : decisionText(now));
      setText(learnt, step === undefined || record.learnMs === null ? '' : 'learnt');
      setAttribute(element, 'data-action', now?.action ?? null);
    },
  };
}

/** Reasons for which the cloud was not called although a list might help. */
const PREVENTED = new Set(['call_under_way', 'offline', 'last_call_failed', 'budget_spent']);

/**
 * The decision of the last click as far as it still holds: nothing is requested without a network,
 * and what prevented a call may be over. Then it is the newest decision.
 */
export function currentDecision(
  decision: Decision,
  latest: Pick<Update, 'connection' | 'decision'> | null,
): Decision | null {
  const connection = latest?.connection.state;
  if (connection === 'offline' && decision.action === 'request') {
    return { ...decision, action: 'keep', code: 'offline', reason: 'offline' };
  }
  const over =
    (PREVENTED.has(decision.code) && latest !== null && latest.decision.code !== decision.code) ||
    (decision.code === 'offline' && connection !== 'offline') ||
    (decision.code === 'last_call_failed' && connection !== 'failing');
  if (!over) return decision;
  // What the device has decided since then, such as about the list that was on its way.
  const now = latest?.decision ?? null;
  return now === null || PREVENTED.has(now.code) ? null : now;
}

/** `cloud not needed (expected gain 0.004 ≤ 0.020)`. */
export function decisionText(decision: Decision): string {
  const { action, code, reason } = decision;
  if (PREVENTED.has(code)) return `cloud not called: ${reason}`;
  const what = action === 'request' ? 'new list requested' : 'cloud not needed';
  // The reason has as many digits as tell gain and threshold apart.
  const [, compared] = /\(gain ([^)]+)\)/.exec(reason) ?? [];
  return code.startsWith('fresh_list') && compared !== undefined
    ? `${what} (expected gain ${compared})`
    : `${what} (${reason})`;
}
