import type { ShopState } from '../shop.ts';
import { swatch } from './card.ts';
import { h } from './dom.ts';

const SHOWN = 12;

/** The history, newest first, with buttons to undo the last click and to clear all. */
export function session(actions: { undo(): void; reset(): void }): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let shown: readonly string[] = [];
  const list = h('ol', { class: 'history', 'data-testid': 'history', reversed: true });
  const more = h('p', { class: 'quiet' });
  const empty = h(
    'p',
    { class: 'quiet' },
    'No films watched yet. Your history is sent only when this device requests a new list.',
  );
  const undo = h(
    'button',
    { type: 'button', class: 'plain', 'data-testid': 'undo', onclick: () => actions.undo() },
    'Undo',
  );
  const reset = h(
    'button',
    { type: 'button', class: 'plain', 'data-testid': 'reset', onclick: () => actions.reset() },
    'Clear history',
  );
  const element = h(
    'section',
    { class: 'session', 'aria-labelledby': 'session-title' },
    h('h2', { id: 'session-title' }, 'Your history'),
    empty,
    list,
    more,
    h('div', { class: 'session-actions' }, undo, reset),
  );
  return {
    element,
    render({ update, catalogue, phase }) {
      const history = update?.history ?? [];
      reset.disabled = phase !== 'ready';
      // Dislikes count as clicks and can be undone too.
      undo.disabled = phase !== 'ready' || (update?.stats.clicks ?? 0) === 0;
      if (history.join() === shown.join() && shown.length > 0) return;
      shown = [...history];
      empty.hidden = history.length > 0;
      list.hidden = history.length === 0;
      const newest = history.slice(-SHOWN).reverse();
      list.replaceChildren(
        ...newest.map((item) => {
          const film = catalogue?.films.get(item);
          return h('li', { 'data-item': item }, swatch(film), h('span', {}, film?.title ?? item));
        }),
      );
      list.start = history.length;
      const hidden = history.length - newest.length;
      more.hidden = hidden <= 0;
      more.textContent = `and ${hidden} earlier`;
    },
  };
}
