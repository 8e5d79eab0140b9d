import type { ShopState } from '../shop.ts';
import { swatch } from './card.ts';
import { h, setText } from './dom.ts';

const SHOWN = 12;

/** The history, newest first, with buttons to undo the last click and to clear all. */
export function session(actions: { undo(): void; reset(): void; openFilm(item: string): void }): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let shown: string | null = null;
  const list = h('ol', { class: 'history', 'data-testid': 'history', reversed: true });
  const more = h('p', { class: 'quiet' });
  const empty = h('p', { class: 'quiet' });
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
    h('div', { class: 'buttons' }, undo, reset),
  );
  return {
    element,
    render({ update, catalogue, phase, disliked, comparing }) {
      element.hidden = phase === 'failed';
      setText(
        empty,
        'No films watched yet. Your history is sent with each request for a list. ' +
          (comparing
            ? 'The cloud-only side makes one at every click, this device only when needed.'
            : 'This device makes one only when needed.'),
      );
      const history = update?.history ?? [];
      // Dislikes count as clicks and can be undone too.
      const clicks = update?.stats.clicks ?? 0;
      reset.disabled = phase !== 'ready' || (clicks === 0 && history.length === 0);
      undo.disabled = phase !== 'ready' || clicks === 0;
      const key = `${history.join()} ${disliked.join()} ${catalogue === null}`;
      if (key === shown) return;
      shown = key;
      empty.hidden = history.length > 0 || disliked.length > 0;
      list.hidden = history.length === 0;
      const newest = history.slice(-SHOWN).reverse();
      const title = (item: string): string => catalogue?.films.get(item)?.title ?? item;
      list.replaceChildren(
        ...newest.map((item) =>
          h(
            'li',
            { 'data-item': item },
            h(
              'button',
              { type: 'button', onclick: () => actions.openFilm(item) },
              swatch(catalogue?.films.get(item)),
              h('span', {}, title(item)),
            ),
          ),
        ),
      );
      list.start = history.length;
      const hidden = history.length - newest.length;
      const notes = [
        hidden > 0 ? `and ${hidden} earlier` : '',
        disliked.length > 0 ? `Not for you: ${disliked.map(title).join(', ')}` : '',
      ].filter((note) => note !== '');
      more.hidden = notes.length === 0;
      more.textContent = notes.join('. ');
    },
  };
}
