import type { Film } from '../catalogue.ts';
import { figure, palette, placement, posterGenres, setTitle } from '../poster.ts';
import { h, s } from './dom.ts';

/** Height of the original title, in percent of the poster width. */
const ORIGINAL_HEIGHT = 16;

/** Actions of a film card. */
export interface CardActions {
  watch(item: string): void;
  dislike(item: string): void;
}

/** A film poster with a button to watch the film and one to dislike it. */
export function card(
  film: Film,
  actions: CardActions,
  kind: 'card' | 'browse-card' = 'card',
): HTMLLIElement {
  const poster = h(
    'button',
    {
      type: 'button',
      class: 'poster',
      'data-testid': kind,
      'data-item': film.item,
      onclick: () => actions.watch(film.item),
    },
    figureOf(film),
    h(
      'span',
      { class: 'poster-text' },
      h('span', { class: 'sr-only' }, 'Watch '),
      h('span', { class: 'poster-title' }, film.title),
      film.original === null ? null : h('span', { class: 'poster-original' }, film.original),
      factsOf(film),
    ),
  );
  paint(poster, film);
  return h(
    'li',
    { class: 'card' },
    poster,
    kind === 'card' ? h('span', { class: 'card-move' }) : null,
    kind === 'card'
      ? h(
          'button',
          {
            type: 'button',
            class: 'card-dislike',
            'aria-label': `Not for me: ${film.title}`,
            title: 'Not for me',
            onclick: () => actions.dislike(film.item),
          },
          '×',
        )
      : null,
  );
}

/** A small square in the colours of the film poster, for lists. */
export function swatch(film: Film | undefined): HTMLElement {
  const element = h('span', { class: 'swatch', 'aria-hidden': 'true' });
  const { ground, figure: accent } = palette(film === undefined ? [] : posterGenres(film));
  element.style.setProperty('--ground', ground);
  element.style.setProperty('--figure', accent);
  return element;
}

/** Year and genres in one line; the second genre only if it fits. */
function factsOf({ year, genres: [first, second] }: Film): HTMLElement {
  return h(
    'span',
    { class: 'poster-facts' },
    [year, first].filter(Boolean).join(' · '),
    second === undefined || `${first}${second}`.length > 16
      ? null
      : h('span', { class: 'poster-second' }, `, ${second}`),
  );
}

function figureOf(film: Film): SVGElement {
  return s(
    'svg',
    {
      class: 'poster-figure',
      'data-place': placement(film),
      viewBox: '0 0 100 100',
      'aria-hidden': 'true',
    },
    s('path', { d: figure(posterGenres(film)), 'fill-rule': 'evenodd' }),
  );
}

function paint(poster: HTMLElement, film: Film): void {
  const { ground, ink, figure: accent } = palette(posterGenres(film));
  const { size, stretch } = setTitle(film.title, film.original === null ? 0 : ORIGINAL_HEIGHT);
  poster.style.setProperty('--ground', ground);
  poster.style.setProperty('--ink', ink);
  poster.style.setProperty('--figure', accent);
  poster.style.setProperty('--size', String(size));
  poster.style.setProperty('--stretch', `${stretch}%`);
}
