import type { Connection } from '@tandem-rec/client';
import { movement } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card } from './card.ts';
import { h, reconcile, setAttribute, setText } from './dom.ts';
import { glide } from './motion.ts';

const SHOWN = 12;

/** Grid of the recommended films. */
export function shelf(actions: CardActions): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  const cards = new Map<string, HTMLLIElement>();
  const title = h('h2', { id: 'shelf-title', tabindex: '-1' }, 'Recommended for you');
  const lead = h('p', { class: 'lead' });
  const grid = h('ul', { class: 'grid', 'data-testid': 'shelf', 'aria-labelledby': 'shelf-title' });
  const empty = h('p', { class: 'empty', 'data-testid': 'shelf-empty' });
  const element = h(
    'section',
    { class: 'shelf', 'aria-labelledby': 'shelf-title' },
    title,
    lead,
    grid,
    empty,
  );

  return {
    element,
    render(state) {
      const { update, catalogue } = state;
      if (update === null || catalogue === null) return;
      const items = update.items.slice(0, SHOWN).filter(({ item }) => catalogue.films.has(item));
      const waiting = items.length === 0 && update.connection.state === 'online';
      setText(lead, leadOf(state));
      setAttribute(element, 'data-waiting', waiting ? 'true' : null);
      empty.hidden = items.length > 0 || waiting;
      setText(empty, emptyText(update.connection.state));
      const hadFocus = grid.contains(document.activeElement);
      glide(cards, () => {
        for (const ghost of grid.querySelectorAll('.ghost')) ghost.remove();
        reconcile(
          grid,
          cards,
          items.map(({ item }) => item),
          (item) => {
            const film = catalogue.films.get(item);
            return film === undefined ? h('li') : card(film, actions);
          },
        );
        if (waiting)
          for (let n = 0; n < SHOWN; n += 1) grid.append(h('li', { class: 'card ghost' }));
      });
      items.forEach(({ item, llmRank }, position) => {
        const mark = cards.get(item)?.querySelector('.card-move');
        if (!mark) return;
        const moved = llmRank === null ? null : movement(llmRank, position);
        setText(mark, moved === null || moved.mark === '=' ? '' : moved.mark);
        const title =
          moved === null
            ? 'found by the search on this device'
            : `${moved.words} compared with the language model’s order`;
        setAttribute(mark, 'title', title);
      });
      // The focused film has left the list: move the focus to the heading, not to the page top.
      if (hadFocus && !grid.contains(document.activeElement)) title.focus({ preventScroll: true });
    },
  };
}

function emptyText(connection: Connection['state']): string {
  return connection === 'failing'
    ? 'No list yet. It will be requested as soon as the server responds.'
    : 'No list on this device yet. Go online to request the first one.';
}

function leadOf({ update, catalogue }: ShopState): string {
  if (update === null) return '';
  if (update.ranking === null) {
    if (update.items.length === 0) {
      const waiting = update.connection.state === 'online';
      return waiting ? 'Waiting for the first list from the language model.' : '';
    }
    return update.history.length === 0
      ? 'Most popular films. Click a film to personalize the list.'
      : 'Found by the search on this device.';
  }
  const last = update.history.at(-1);
  const title = last === undefined ? undefined : catalogue?.films.get(last)?.title;
  if (title === undefined) {
    const what =
      update.ranking === 'popularity' ? 'Most popular films' : 'A list that is not personal yet';
    return `${what}. Click a film to personalize it.`;
  }
  const by =
    update.ranking === 'popularity' ? 'the most popular films' : (update.model ?? 'the cloud');
  const sources = update.items.some(({ listed }) => !listed) ? `${by} and this device` : by;
  return `Based on ${title}: candidates from ${sources}, ranked on this device.`;
}
