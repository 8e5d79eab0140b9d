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
  /** Number of items of the pages before. */
  #offset = 0;
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
        this.#timer = setTimeout(() => this.#turn(0), PAUSE_MS);
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
          onclick: () => this.#turn(this.#offset + by),
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

  /** Shows the page of items that begins there. */
  #turn(offset) {
    this.#offset = offset;
    void this.#search();
  }

  async #search() {
    this.#searches += 1;
    const search = this.#searches;
    const query = new URLSearchParams({
      q: this.#parts.input.value,
      limit: String(SHOWN),
      offset: String(this.#offset),
    });
    const answer = await this.#fail(() => this.#server.get(`admin/items?${query}`));
    // A later search has been sent.
    if (answer === undefined || search !== this.#searches) return;
    const { pages, previous, next } = this.#parts;
    const all = answer.found + answer.found_deleted;
    this.#parts.found.textContent = found(answer, this.#offset);
    pages.hidden = all <= SHOWN;
    previous.disabled = this.#offset === 0;
    next.disabled = this.#offset + SHOWN >= all;
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
