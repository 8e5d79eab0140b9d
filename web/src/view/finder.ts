import { browse, type Catalogue, search } from '../catalogue.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card } from './card.ts';
import { h, setAttribute, setText } from './dom.ts';

const SHOWN = 24;

/** Search by title, and genres with their most popular films first. */
export function finder(actions: CardActions): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let catalogue: Catalogue | null = null;
  let genre: string | null = null;
  let shown = '';
  const heading = h('h2', { id: 'finder-title' }, 'All films');
  const note = h('p', { class: 'quiet' });
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
  const results = h('ul', {
    class: 'grid wide',
    'data-testid': 'browse',
    'aria-label': 'Films',
  });
  const none = h('p', { class: 'empty', role: 'status' });
  const element = h(
    'section',
    { class: 'finder', 'aria-labelledby': 'finder-title' },
    h('div', { class: 'finder-row' }, heading, label, input),
    genres,
    note,
    results,
    none,
  );

  function find(): void {
    if (catalogue === null) return;
    const query = input.value;
    if (query.trim() !== '') choose(null);
    const films =
      query.trim() === ''
        ? browse(catalogue, genre, SHOWN)
        : search(catalogue.films.values(), query, SHOWN);
    const key = films.map(({ item }) => item).join();
    if (key !== shown) {
      shown = key;
      results.replaceChildren(...films.map((film) => card(film, actions, 'browse-card')));
    }
    results.hidden = films.length === 0;
    const nothing = films.length === 0 && query.trim() !== '';
    note.hidden = nothing;
    setText(
      note,
      query.trim() !== '' ? 'Found by title' : `${genre ?? 'All genres'}, most popular first`,
    );
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
      element.hidden = state.phase === 'failed';
      const films = state.catalogue?.films.size.toLocaleString('en') ?? '';
      setAttribute(input, 'placeholder', films === '' ? 'Search films' : `Search ${films} films`);
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
