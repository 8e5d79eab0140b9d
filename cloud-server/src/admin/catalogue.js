/** The catalogue with a search, and a preview of what a history is recommended. */
import { badge, card, empty, h, table } from './elements.js';
import { count, duration } from './numbers.js';

/** Milliseconds after the last letter until the search. */
const PAUSE_MS = 200;
/** Milliseconds after which a request that failed is repeated. */
const RETRY_MS = 5_000;
const SHOWN = 12;

export class Catalogue {
  #server;
  #guarded;
  /** The items of the preview's history, oldest first. */
  #history = [];
  /** Number of items before those that are shown. */
  #offset = 0;
  /** Numbers of the newest search and the newest preview. */
  #searches = 0;
  #previews = 0;
  #timer = null;
  #parts = null;

  /** `guarded` runs a task by its name and shows its errors. */
  constructor(server, guarded) {
    this.#server = server;
    this.#guarded = guarded;
  }

  /** The page, which keeps its state while other views are shown. */
  page() {
    if (this.#parts === null) {
      this.#parts = this.#build();
      void this.#search(0);
      void this.#preview();
    }
    return this.#parts.all;
  }

  #build() {
    const input = h('input', {
      id: 'search',
      type: 'search',
      autocomplete: 'off',
      oninput: () => {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => void this.#search(0), PAUSE_MS);
      },
    });
    const found = h('p', { class: 'quiet', role: 'status' });
    const items = h('div', { id: 'found' });
    const step = (text, label, by) =>
      h(
        'button',
        {
          type: 'button',
          class: 'plain',
          'aria-label': label,
          onclick: () => void this.#search(this.#offset + by),
        },
        text,
      );
    const previous = step('Previous', 'Previous page of items', -SHOWN);
    const next = step('Next', 'Next page of items', SHOWN);
    const pages = h('div', { class: 'buttons', hidden: true }, previous, next);
    const history = h('div', { id: 'history' });
    const preview = h('div', { id: 'preview' });
    const all = [
      h('h1', {}, 'Catalogue'),
      h(
        'p',
        { class: 'lead' },
        'Find items, and see what a visitor is recommended who has chosen them. Popularity counts the interactions of the training log and those since then.',
      ),
      h(
        'div',
        { class: 'cards' },
        card('Items', h('label', { for: 'search' }, 'Search by words or id'), input, found, items, pages),
        card('Recommend for this history', history, preview),
      ),
    ];
    return { all, input, found, items, pages, previous, next, history, preview };
  }

  /** Shows the page of found items that begins there. */
  async #search(offset) {
    this.#searches += 1;
    const search = this.#searches;
    const query = new URLSearchParams({
      q: this.#parts.input.value,
      limit: String(SHOWN),
      offset: String(offset),
    });
    const get = () => this.#server.get(`admin/items?${query}`);
    const answer = await this.#guarded(get, 'search');
    // A later search has been sent.
    if (search !== this.#searches) return;
    if (answer === undefined) {
      const again = () => search === this.#searches && void this.#search(offset);
      setTimeout(again, RETRY_MS);
      return;
    }
    this.#offset = offset;
    const { pages, previous, next } = this.#parts;
    const all = answer.found + answer.found_deleted;
    this.#parts.found.textContent = found(answer, offset);
    pages.hidden = all <= SHOWN;
    const focused = document.activeElement;
    previous.disabled = offset === 0;
    next.disabled = offset + SHOWN >= all;
    // A button that is disabled loses the focus.
    if (focused === next && next.disabled) previous.focus();
    if (focused === previous && previous.disabled) next.focus();
    const rows = answer.items.map((item) => [
      [title(item), about(item)],
      state(item),
      count(Math.round(item.popularity)),
      h(
        'button',
        {
          type: 'button',
          class: 'plain',
          'aria-label': `Add ${name(item)} to the history`,
          onclick: () => this.#add(item),
        },
        'Add',
      ),
    ]);
    this.#parts.items.replaceChildren(
      rows.length === 0
        ? empty('No item has these words, or this text in its id.')
        : table('Items', [['Item'], ['State'], ['Popularity', 'number'], ['']], rows),
    );
  }

  #add(item) {
    if (this.#history.some(({ id }) => id === item.id)) return;
    this.#history.push(item);
    void this.#preview();
  }

  #remove(item) {
    this.#history = this.#history.filter(({ id }) => id !== item.id);
    void this.#preview();
  }

  async #preview() {
    const chosen = this.#history.map((item) =>
      h(
        'li',
        {},
        h('span', {}, title(item)),
        h(
          'button',
          {
            type: 'button',
            class: 'plain',
            'aria-label': `Remove ${name(item)} from the history`,
            onclick: () => this.#remove(item),
          },
          'Remove',
        ),
      ),
    );
    this.#parts.history.replaceChildren(
      this.#history.length === 0
        ? empty(
            'The history is empty: this is what a new visitor gets. Add items to it, the oldest first.',
          )
        : h('ol', { class: 'chosen', 'aria-label': 'History' }, ...chosen),
    );
    this.#previews += 1;
    const preview = this.#previews;
    const history = this.#history.map(({ id }) => id);
    const answer = await this.#guarded(() => this.#recommended(history), 'preview');
    if (preview !== this.#previews) return;
    if (answer === undefined) {
      setTimeout(() => preview === this.#previews && void this.#preview(), RETRY_MS);
      return;
    }
    this.#parts.preview.replaceChildren(...answer);
  }

  async #recommended(history) {
    const list = await this.#server.post('candidates', { history, k: SHOWN });
    const ids = list.candidates.map(({ item }) => item);
    const { items } = await this.#server.post('admin/items', { items: ids });
    const known = new Map(items.map((item) => [item.id, item]));
    const rows = list.candidates.map(({ item, logprob }, at) => {
      const found = known.get(item) ?? { id: item, title: '', genres: [], year: null };
      return [
        String(at + 1),
        [title(found), about(found)],
        `${(100 * Math.exp(logprob)).toFixed(2)} %`,
      ];
    });
    const order =
      list.ranking === 'language_model'
        ? `by the model ${list.model}`
        : 'by popularity, because the history has no known item';
    return [
      h(
        'p',
        { class: 'quiet', id: 'preview-about' },
        `${rows.length} items, ordered ${order}, in ${duration(list.timings.total_ms)}.`,
      ),
      rows.length === 0
        ? empty('No item is left to recommend.')
        : table('Recommended items', [['Rank', 'number'], ['Item'], ['Probability', 'number']], rows),
    ];
  }
}

/** How many items were found, and which of them are shown. */
function found({ found: number, found_deleted: deleted, items_in_catalogue: all, items }, offset) {
  const parts = [`${count(number)} of ${count(all)} items`];
  if (deleted > 0) parts.push(`${count(deleted)} deleted`);
  if (number + deleted > items.length) {
    const [from, to] = [offset + 1, offset + items.length];
    parts.push(`${count(from)} to ${count(to)} are shown, the most popular first`);
  }
  return parts.join(', ');
}

function state({ available, deleted }) {
  if (deleted) return badge('deleted', 'bad');
  return available ? '' : badge('not available', 'bad');
}

const name = (item) => item.title || item.id;

function title(item) {
  return h('span', { class: 'title' }, name(item));
}

function about({ id, title: text, year, genres }) {
  const parts = [text === '' ? null : id, year, ...genres].filter((part) => part !== null);
  return h('small', {}, parts.join(', '));
}
