import { type Catalogue, type Film, search } from '../catalogue.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card } from './card.ts';
import { h, setAttribute, setText } from './dom.ts';

const SHOWN = 24;

/** Search by title and browse by genre; the starting point for a visitor without history. */
export function finder(actions: CardActions): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let catalogue: Catalogue | null = null;
  let genre: string | null = null;
  let shown = '';
  const heading = h('h1', {});
  const input = h('input', {
    type: 'search',
    id: 'finder-input',
    class: 'finder-input',
    autocomplete: 'off',
    'data-testid': 'search',
    oninput: () => find(),
  });
  const label = h('label', { for: 'finder-input', class: 'sr-only' }, 'Search films');
  const genres = h('div', { class: 'chips', role: 'group', 'aria-label': 'Browse by genre' });
  const strip = h('ul', {
    class: 'strip',
    'data-testid': 'browse',
    'aria-label': 'Search results',
  });
  const none = h('p', { class: 'empty', role: 'status' });
  const element = h(
    'section',
    { class: 'finder', 'aria-label': 'Find a film' },
    heading,
    h('div', { class: 'finder-row' }, label, input),
    genres,
    strip,
    none,
  );

  function find(): void {
    if (catalogue === null) return;
    const query = input.value;
    if (query.trim() !== '') choose(null);
    const films =
      query.trim() === ''
        ? browse(catalogue, genre)
        : search(catalogue.films.values(), query, SHOWN);
    const key = films.map(({ item }) => item).join();
    if (key !== shown) {
      shown = key;
      strip.replaceChildren(...films.map((film) => card(film, actions, 'browse-card')));
      strip.scrollLeft = 0;
    }
    strip.hidden = films.length === 0;
    const nothing = films.length === 0 && query.trim() !== '';
    none.hidden = !nothing;
    setText(none, nothing ? `No films match “${query.trim()}”.` : '');
  }

  function choose(wanted: string | null): void {
    genre = wanted;
    for (const chip of genres.children) {
      setAttribute(chip, 'aria-pressed', String(chip.textContent === wanted));
    }
  }

  return {
    element,
    render(state) {
      const films = state.catalogue?.films.size ?? 0;
      const cold = (state.update?.history.length ?? 0) === 0;
      setText(heading, cold ? 'Start with a film you like' : 'Find another film');
      setAttribute(element, 'data-cold', cold ? 'true' : null);
      setAttribute(input, 'placeholder', `Search ${films.toLocaleString('en')} films`);
      if (state.catalogue === catalogue || state.catalogue === null) return;
      catalogue = state.catalogue;
      genres.replaceChildren(
        ...catalogue.genres.slice(0, 18).map((name) =>
          h(
            'button',
            {
              type: 'button',
              class: 'chip',
              'aria-pressed': 'false',
              onclick: () => {
                input.value = '';
                choose(genre === name ? null : name);
                find();
              },
            },
            name,
          ),
        ),
      );
      find();
    },
  };
}

/** Films of a genre, those with the fewest other genres first. */
function browse({ films }: Catalogue, genre: string | null): Film[] {
  if (genre === null) return [];
  return [...films.values()]
    .filter(({ genres }) => genres.includes(genre))
    .sort((a, b) => a.genres.length - b.genres.length)
    .slice(0, SHOWN);
}
