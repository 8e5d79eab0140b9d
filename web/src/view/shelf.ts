import type { Connection } from '@tandem-rec/client';
import { milliseconds } from '../figures.ts';
import { reasonText } from '../reasons.ts';
import { SHELF } from '../shelf.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card, ghosts, setCaption } from './card.ts';
import { h, liftMoved, reconcile, setAttribute, setText } from './dom.ts';
import { glide } from './motion.ts';

/** Films beside the cloud-only list. */
const COMPARED = 8;

/** The recommended films; before the small model is there, the popular ones. */
export function shelf(actions: CardActions & { showNewList(): void }): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  const cards = new Map<string, HTMLLIElement>();
  const title = h('h2', { id: 'shelf-title', tabindex: '-1' }, 'Tandem');
  const lead = h('p', { class: 'pane-state', 'data-testid': 'shelf-lead' });
  const fresh = h(
    'button',
    {
      type: 'button',
      class: 'fresh',
      'data-testid': 'new-list',
      onclick: () => actions.showNewList(),
    },
    'New list ready',
  );
  const grid = h('ul', { class: 'grid', 'data-testid': 'shelf', 'aria-labelledby': 'shelf-title' });
  const empty = h('p', { class: 'empty', 'data-testid': 'shelf-empty' });
  const element = h(
    'section',
    { class: 'pane pane-tandem', 'aria-labelledby': 'shelf-title' },
    h('header', { class: 'pane-head' }, title, lead, fresh),
    grid,
    empty,
  );
  let shown = '';

  return {
    element,
    render(state) {
      const { catalogue, comparing, newList, phase } = state;
      element.hidden = phase === 'failed';
      fresh.hidden = !newList;
      setText(lead, leadOf(state));
      const items = visibleItems(state, comparing ? COMPARED : SHELF);
      const connection = state.update?.connection.state ?? 'online';
      const waiting = items.length === 0 && connection === 'online';
      empty.hidden = items.length > 0 || waiting;
      setText(empty, emptyText(connection));
      const key = `${waiting} ${items.join()}`;
      if (key !== shown) {
        shown = key;
        const hadFocus = grid.contains(document.activeElement);
        glide(cards, () => {
          for (const ghost of grid.querySelectorAll('.ghost')) ghost.remove();
          liftMoved(grid, cards, items);
          reconcile(grid, cards, items, (item) => {
            const film = catalogue?.films.get(item);
            return film === undefined ? h('li') : card(film, actions);
          });
          if (waiting) grid.append(...ghosts(comparing ? COMPARED : SHELF));
        });
        // The focused film has left: move the focus to the heading, not to the page top.
        if (hadFocus && !grid.contains(document.activeElement)) {
          title.focus({ preventScroll: true });
        }
      }
      setAttribute(element, 'data-waiting', waiting ? 'true' : null);
      for (const [item, element] of cards) {
        const waits = state.queued.includes(item);
        setAttribute(element, 'data-queued', waits ? 'true' : null);
        setCaption(
          element,
          waits ? 'Counted as soon as the model is here' : captionOf(state, item),
        );
      }
    },
  };
}

/** Items of the shelf without those that were just clicked; popular films before there is one. */
function visibleItems({ catalogue, shelf, leaving, phase }: ShopState, count: number): string[] {
  if (catalogue === null) return [];
  const ranked = phase === 'loading' ? catalogue.popular : shelf.map(({ item }) => item);
  return ranked
    .filter((item) => catalogue.films.has(item) && !leaving.includes(item))
    .slice(0, count);
}

function captionOf({ catalogue, reasons, shelf, update, phase }: ShopState, item: string): string {
  if (phase === 'loading' || update === null || update.history.length === 0) return 'Popular';
  const ranked = shelf.find((other) => other.item === item);
  const source = ranked?.listed === false ? 'Found on this device' : 'From the cloud’s list';
  return reasonText(
    // One film: two titles do not fit below a poster.
    reasons.get(item)?.slice(0, 1),
    (watched) => catalogue?.films.get(watched)?.title ?? watched,
    source,
  );
}

function emptyText(connection: Connection['state']): string {
  return connection === 'failing'
    ? 'No list yet. It will be requested as soon as the server responds.'
    : 'No list on this device yet. Go online to request the first one.';
}

function leadOf({ phase, progress, update, shelf, clicks, queued }: ShopState): string {
  if (phase === 'loading') {
    const clicks = queued.length === 0 ? '' : `${queued.length} clicked. `;
    return `${clicks}Loading the ${progress?.phase === 'model' ? 'model' : 'runtime'} …`;
  }
  if (update === null) return '';
  const last = clicks.at(-1);
  if (last !== undefined && update.history.length > 0) {
    return `Re-ranked in ${milliseconds(last.rerankMs)}`;
  }
  if (shelf.length === 0) return '';
  return update.history.length === 0 ? 'Popular films. Click one.' : 'Your last list';
}
