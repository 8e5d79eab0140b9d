import { browse, type Catalogue, search } from '../catalogue.ts';
import type { ShopState } from '../shop.ts';
import { type CardActions, card } from './card.ts';
import { h, setAttribute, setText } from './dom.ts';

/** Films at first, and with each further step. */
const STEP = 24;

/** Search by title, and genres with their most popular films first. */
export function finder(actions: CardActions): {
  element: HTMLElement;
  render(state: ShopState): void;
} {
  let catalogue: Catalogue | null = null;
  let genre: string | null = null;
  let shown = '';
  let count = STEP;
  let wanted = '';
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
  const cards = new Map<string, HTMLLIElement>();
  const more = h(
    'button',
    {
      type: 'button',
      class: 'plain finder-more',
      'data-testid': 'browse-more',
      hidden: true,
      onclick: () => {
        const next = count;
        count += STEP;
        find();
        // To the first of the new films, so that the keyboard goes on from there.
        results.children[next]?.querySelector('button')?.focus({ preventScroll: true });
      },
    },
    'Show more',
  );
  const none = h('p', { class: 'empty', role: 'status' });
  const element = h(
    'section',
    { class: 'finder', 'aria-labelledby': 'finder-title' },
    h('div', { class: 'finder-row' }, heading, label, input),
    genres,
    note,
    results,
    more,
    none,
  );

  function find(): void {
    if (catalogue === null) return;
    const query = input.value;
    if (query.trim() !== '') choose(null);
    const what = `${genre ?? ''} ${query.trim()}`;
    if (what !== wanted) count = STEP;
    wanted = what;
    const found =
      query.trim() === ''
        ? browse(catalogue, genre, count + 1)
        : search(catalogue.films.values(), query, count + 1);
    const films = found.slice(0, count);
    more.hidden = found.length <= count;
    const key = films.map(({ item }) => item).join();
    if (key !== shown) {
      shown = key;
      const before = new Map([...cards]);
      cards.clear();
      for (const film of films) {
        cards.set(film.item, before.get(film.item) ?? card(film, actions, 'browse-card'));
      }
      results.replaceChildren(...cards.values());
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
