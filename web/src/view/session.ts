import type { ShopState } from '../shop.ts';
import { swatch } from './card.ts';
import { h } from './dom.ts';

const SHOWN = 12;

/** What was watched in this session, newest first, and the way out of it. */
export function session(reset: () => void): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let shown: readonly string[] = [];
  const list = h('ol', { class: 'history', 'data-testid': 'history', reversed: true });
  const more = h('p', { class: 'quiet' });
  const empty = h(
    'p',
    { class: 'quiet' },
    'Nothing watched yet. The cloud is told what you watch only when it is asked for a list.',
  );
  const button = h(
    'button',
    { type: 'button', class: 'plain', 'data-testid': 'reset', onclick: reset },
    'Forget this session',
  );
  const element = h(
    'section',
    { class: 'session', 'aria-labelledby': 'session-title' },
    h('h2', { id: 'session-title' }, 'Your session'),
    empty,
    list,
    more,
    button,
  );
  return {
    element,
    render({ update, catalogue, phase }) {
      button.disabled = phase !== 'ready';
      const history = update?.history ?? [];
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
      more.textContent = `and ${hidden} before`;
    },
  };
}
