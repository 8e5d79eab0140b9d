import type { RankedItem } from '@tandem-rec/client';
import type { Catalogue } from '../catalogue.ts';
import { movement } from '../figures.ts';
import type { ShopState } from '../shop.ts';
import { swatch } from './card.ts';
import { h, s, setAttribute, setText } from './dom.ts';

const SHORT = 10;
/** Height of a row and width between two columns, in pixels; also in the style sheet. */
const ROW = 30;
const LINK = 56;

/** One of the three rankings: its source, and the note beside each item. */
interface Order {
  id: 'llm' | 'srm' | 'fused';
  name: string;
  by: string;
  /** `null`: the model did not rank the item. */
  rank(item: RankedItem, fusedRank: number): number | null;
  note(item: RankedItem, rank: number): { text: string; words: string };
}

const orders: readonly Order[] = [
  {
    id: 'llm',
    name: 'Cloud',
    by: 'language model',
    rank: ({ llmRank }) => llmRank,
    note: ({ logprob }) => ({
      text: logprob?.toFixed(2) ?? '',
      words: logprob === null ? '' : `log-probability ${logprob.toFixed(2)} nats`,
    }),
  },
  {
    id: 'srm',
    name: 'Device',
    by: 'small model',
    rank: ({ srmRank }) => srmRank,
    note: ({ llmRank }, rank) => moved(llmRank, rank),
  },
  {
    id: 'fused',
    name: 'Fused',
    by: '',
    rank: (_, fusedRank) => fusedRank,
    note: ({ llmRank }, rank) => moved(llmRank, rank),
  },
];

function moved(from: number | null, to: number): { text: string; words: string } {
  if (from === null) return { text: 'new', words: 'found by the search on this device' };
  const { mark, words } = movement(from, to);
  return { text: mark, words: `${words} compared with the cloud’s order` };
}

/** A ranked item and its place in the column. */
interface Row {
  item: RankedItem;
  rank: number;
}

/**
 * The rankings of the cloud, the device and the fusion of both, side by side, with a line from
 * each item to its place in the next ranking.
 */
export function ordersView(): { element: HTMLElement; render(state: ShopState): void } {
  let all = false;
  let last: ShopState | null = null;
  const lists = orders.map((order) => ({
    order,
    list: h('ol', { class: 'order-list', 'data-testid': `${order.id}-list` }),
  }));
  const links = [0, 1].map(() =>
    s('svg', { class: 'order-links', width: LINK, 'aria-hidden': 'true' }),
  );
  const toggle = h('button', {
    type: 'button',
    class: 'plain',
    'data-testid': 'orders-all',
    onclick: () => {
      all = !all;
      if (last !== null) render(last);
    },
  });
  const fusedBy = h('small', {});
  const columns = h(
    'div',
    {
      class: 'orders',
      role: 'group',
      tabindex: '0',
      'aria-label': 'Three rankings of the same list',
      onpointerover: mark,
      onpointerleave: mark,
    },
    ...lists.flatMap(({ order, list }, at) => {
      const column = h(
        'section',
        { class: 'order', 'data-order': order.id },
        h('h3', {}, order.name, ' ', order.id === 'fused' ? fusedBy : h('small', {}, order.by)),
        list,
      );
      const link = links[at];
      return link === undefined ? [column] : [column, h('div', { class: 'order-link' }, link)];
    }),
  );
  const empty = h('p', { class: 'empty' }, 'No list yet.');
  const element = h('div', { class: 'orders-box' }, columns, empty, toggle);

  /** Highlights the film under the pointer in all three rankings. */
  function mark(event: Event): void {
    const item =
      event.target instanceof Element
        ? event.target.closest('[data-item]')?.getAttribute('data-item')
        : null;
    for (const row of columns.querySelectorAll('[data-item]')) {
      row.classList.toggle('marked', item != null && row.getAttribute('data-item') === item);
    }
  }

  function render(state: ShopState): void {
    last = state;
    const { update, catalogue } = state;
    if (update === null || catalogue === null) return;
    setText(fusedBy, state.newList ? 'the new list that is ready' : 'the list you see');
    const columnsOf = lists.map(({ order, list }) => {
      const rows = update.items
        .flatMap((item, fusedRank) => {
          const rank = order.rank(item, fusedRank);
          return rank === null ? [] : [{ item, rank }];
        })
        .sort((a, b) => a.rank - b.rank)
        .slice(0, all ? undefined : SHORT);
      list.replaceChildren(...rows.map(({ item, rank }) => row(order, item, rank, catalogue)));
      return rows;
    });
    links.forEach((link, at) => {
      const [from = [], to = []] = [columnsOf[at], columnsOf[at + 1]];
      setAttribute(link, 'height', Math.max(from.length, to.length) * ROW);
      link.replaceChildren(...linesBetween(from, to));
    });
    columns.hidden = update.items.length === 0;
    empty.hidden = !columns.hidden;
    toggle.hidden = update.items.length <= SHORT;
    setText(toggle, all ? `Show top ${SHORT}` : `Show all ${update.items.length}`);
    setAttribute(toggle, 'aria-expanded', String(all));
  }

  return { element, render };
}

/** A line for each item of the left column that is in the right one; rising items stand out. */
function linesBetween(from: readonly Row[], to: readonly Row[]): SVGElement[] {
  const places = new Map(to.map(({ item }, place) => [item.item, place]));
  return from.flatMap(({ item }, place) => {
    const target = places.get(item.item);
    if (target === undefined) return [];
    const [y1, y2] = [place, target].map((at) => (at + 0.5) * ROW) as [number, number];
    const half = LINK / 2;
    const line = s('path', {
      d: `M0 ${y1}C${half} ${y1} ${half} ${y2} ${LINK} ${y2}`,
      'data-item': item.item,
      'data-direction': target < place ? 'up' : target > place ? 'down' : 'same',
    });
    return [line];
  });
}

function row(order: Order, item: RankedItem, rank: number, { films }: Catalogue): HTMLLIElement {
  const film = films.get(item.item);
  const { text, words } = order.note(item, rank);
  const direction = text.startsWith('▲') ? 'up' : text.startsWith('▼') ? 'down' : null;
  return h(
    'li',
    { 'data-item': item.item, value: rank + 1 },
    h('span', { class: 'place', 'aria-hidden': 'true' }, String(rank + 1)),
    swatch(film),
    h('span', { class: 'order-title' }, film?.title ?? item.item),
    h('span', { class: 'order-note', 'data-direction': direction, title: words }, text),
  );
}
