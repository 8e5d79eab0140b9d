import type { Connection } from '@tandem-rec/client';
import { movement } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card } from './card.ts';
import { h, reconcile, setAttribute, setText } from './dom.ts';
import { glide } from './motion.ts';

const SHOWN = 12;

/** The grid of recommended films. */
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
        const moved = movement(llmRank, position);
        setText(mark, moved.mark === '=' ? '' : moved.mark);
        setAttribute(mark, 'title', `${moved.words} from the language model’s place`);
      });
      // The film that was clicked left the list: go on from the heading, not from the top.
      if (hadFocus && !grid.contains(document.activeElement)) title.focus({ preventScroll: true });
    },
  };
}

function emptyText(connection: Connection['state']): string {
  return connection === 'failing'
    ? 'There is no list yet: it is fetched as soon as the cloud answers.'
    : 'There is no list on this device yet. Go online, and the first one is fetched.';
}

function leadOf({ update, catalogue }: ShopState): string {
  if (update === null || update.ranking === null) {
    return update?.connection.state === 'online'
      ? 'The language model is making a first list.'
      : '';
  }
  const last = update.history.at(-1);
  const title = last === undefined ? undefined : catalogue?.films.get(last)?.title;
  if (title === undefined) {
    const what = update.ranking === 'popularity' ? 'What most people watch' : 'A list for everyone';
    return `${what}. Click a film and the list turns to you.`;
  }
  const by =
    update.ranking === 'popularity' ? 'the most popular films' : (update.model ?? 'the cloud');
  return `After ${title}: ranked on this device, from a list by ${by}.`;
}
