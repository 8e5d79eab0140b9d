/** The catalogue with a search, and a preview of what a history is recommended. */
import { badge, card, empty, h, table } from './elements.js';
import { count, duration } from './numbers.js';

/** Milliseconds after the last letter until the search. */
const PAUSE_MS = 200;
const SHOWN = 12;

export class Catalogue {
  #server;
  #fail;
  /** The items of the preview's history, oldest first. */
  #history = [];
  /** Numbers of the newest search and the newest preview. */
  #searches = 0;
  #previews = 0;
  #timer = null;
  #parts = null;

  /** `fail` is called with errors. */
  constructor(server, fail) {
    this.#server = server;
    this.#fail = fail;
  }

  /** The page, which keeps its state while other views are shown. */
  page() {
    if (this.#parts === null) {
      this.#parts = this.#build();
      void this.#search();
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
        this.#timer = setTimeout(() => void this.#search(), PAUSE_MS);
      },
    });
    const found = h('p', { class: 'quiet', role: 'status' });
    const items = h('div', { id: 'found' });
    const history = h('div', { id: 'history' });
    const preview = h('div', { id: 'preview' });
    const all = [
      h('h1', {}, 'Catalogue'),
      h(
        'p',
        { class: 'lead' },
        'Find items, and see what a visitor is recommended who has chosen them.',
      ),
      h(
        'div',
        { class: 'cards' },
        card('Items', h('label', { for: 'search' }, 'Search by title or id'), input, found, items),
        card('Recommend for this history', history, preview),
      ),
    ];
    return { all, input, found, items, history, preview };
  }

  async #search() {
    this.#searches += 1;
    const search = this.#searches;
    const query = new URLSearchParams({ q: this.#parts.input.value, limit: String(SHOWN) });
    const answer = await this.#fail(() => this.#server.get(`admin/items?${query}`));
    // A later search has been sent.
    if (answer === undefined || search !== this.#searches) return;
    this.#parts.found.textContent = found(answer);
    const rows = answer.items.map((item) => [
      [title(item), about(item)],
      state(item),
      count(item.interactions),
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
        ? empty('No item has this text in its title or id.')
        : table('Items', [['Item'], ['State'], ['Interactions', 'number'], ['']], rows),
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
    const answer = await this.#fail(() => this.#recommended(history));
    if (answer === undefined || preview !== this.#previews) return;
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
function found({ found: number, found_deleted: deleted, items_in_catalogue: all, items }) {
  const parts = [`${count(number)} of ${count(all)} items`];
  if (deleted > 0) parts.push(`${count(deleted)} deleted`);
  if (number + deleted > items.length) parts.push(`the ${items.length} most frequent are shown`);
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
