import type { Film } from '../catalogue.ts';
import { figure, palette, placement, posterGenres, setTitle } from '../poster.ts';
import { h, s, setText } from './dom.ts';

/** Height of the original title, in percent of the poster width. */
const ORIGINAL_HEIGHT = 16;

/** Actions of a film card. */
export interface CardActions {
  watch(item: string): void;
  dislike(item: string): void;
  openFilm(item: string): void;
}

/** Recommended, on the cloud-only list, found in the shop, or similar to another film. */
export type CardKind = 'card' | 'cloud-card' | 'browse-card' | 'similar-card';

/** A film poster with buttons to watch the film, to open its page and to dislike it. */
export function card(film: Film, actions: CardActions, kind: CardKind = 'card'): HTMLLIElement {
  const poster = h(
    'button',
    {
      type: 'button',
      class: 'poster',
      'data-testid': kind,
      'data-item': film.item,
      onclick: (event) => {
        // The second click of a double click may hit another film, because the list has moved.
        if (event instanceof UIEvent && event.detail > 1) return;
        actions.watch(film.item);
      },
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
    kind === 'similar-card' ? null : caption(film, actions),
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

/** Sets the line below the poster of a card. */
export function setCaption(element: Element, text: string): void {
  const line = element.querySelector('.why-text');
  if (line !== null) setText(line, text);
}

/** A line that says why the film is here and opens its page. Its height never changes. */
function caption(film: Film, actions: CardActions): HTMLElement {
  return h(
    'button',
    {
      type: 'button',
      class: 'why',
      'data-testid': 'details',
      onclick: () => actions.openFilm(film.item),
    },
    h('span', { class: 'sr-only' }, `${film.title}: `),
    h('span', { class: 'why-text' }, 'Details'),
  );
}

/** The poster of a film without any action, for its page. */
export function poster(film: Film): HTMLElement {
  const element = h(
    'div',
    { class: 'poster' },
    figureOf(film),
    h('span', { class: 'poster-text' }, h('span', { class: 'poster-title' }, film.title)),
  );
  paint(element, film);
  return h('div', { class: 'card' }, element);
}

/** Placeholders of the size of cards. */
export function ghosts(count: number): HTMLLIElement[] {
  return Array.from({ length: count }, () =>
    h('li', { class: 'card ghost' }, h('span', { class: 'poster' }), h('span', { class: 'why' })),
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
