/** The custom element `<tandem-list>`, for any page and any framework. */
import type {
  RecommendedItem,
  Recommender,
  RecommenderOptions,
  RecommendOptions,
} from '../page/index.js';
import { failed, ListSource, type ListState, LOADING } from './list.js';
import { type Shared, share } from './sharing.js';

export type { ListState } from './list.js';

/** Number of items without the attribute `k`. */
const DEFAULT_K = 12;

/** Attributes that select the recommender. */
const OPENING = ['server', 'profile', 'user-id', 'events'];

/** On a server there are no elements; this module can be imported there. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/**
 * A list of recommendations as `<ol>` with a button per item; a click on an item is tracked.
 *
 * Attributes: `server` (required), `k` (12), `placement`, `diversity`, `profile`, `user-id`, and
 * the boolean ones `consent` and `events`. The attribute `status` is that of the list. Elements
 * with the same server, profile, user and events share one recommender, which is disposed of
 * with the last of them.
 *
 * Events, which bubble: `tandem-update` (`detail`: a {@link ListState}), also after a failure,
 * and `tandem-click` (`detail`: the item) before the click is tracked. The console has the message
 * of a failure.
 */
export class TandemListElement extends Base {
  static readonly observedAttributes = [...OPENING, 'consent', 'k', 'placement', 'diversity'];

  #options: RecommendOptions = {};
  #renderItem: ((item: RecommendedItem) => Node) | null = null;
  #shared: Shared | null = null;
  #source: ListSource | null = null;
  #state = LOADING;
  #stop: (() => void) | null = null;
  #list: HTMLOListElement | null = null;
  readonly #shown = new Map<string, HTMLLIElement>();
  /** Options of the recommender that are no attributes, such as `workerUrl`; set before use. */
  recommenderOptions: Partial<RecommenderOptions> = {};

  /** Options of the list that are no attributes, such as `filter` and `rules`. */
  get options(): RecommendOptions {
    return this.#options;
  }

  set options(options: RecommendOptions) {
    this.#options = options;
    this.#source?.refresh();
  }

  /** Makes the content of an item, in place of a button with its title or its id. */
  get renderItem(): ((item: RecommendedItem) => Node) | null {
    return this.#renderItem;
  }

  set renderItem(render: ((item: RecommendedItem) => Node) | null) {
    this.#renderItem = render;
    this.#shown.clear();
    if (this.#list !== null) this.#draw(this.#list);
  }

  /** The recommender; `null` until it is open. */
  get recommender(): Recommender | null {
    return this.#shared?.recommender ?? null;
  }

  /** What the list shows. */
  get state(): ListState {
    return this.#state;
  }

  connectedCallback(): void {
    this.#open();
  }

  disconnectedCallback(): void {
    this.#close();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after || !this.isConnected || this.#list === null) return;
    if (OPENING.includes(name)) {
      this.#close();
      this.#open();
    } else if (name === 'consent') {
      // A failure of the storage is an `error` event.
      this.#shared?.setConsent(after !== null).catch(() => undefined);
    } else {
      this.#source?.refresh();
    }
  }

  #open(): void {
    this.#list ??= this.#newList();
    const profile = this.getAttribute('profile');
    const userId = this.getAttribute('user-id');
    const options: RecommenderOptions = {
      consent: this.hasAttribute('consent'),
      events: this.hasAttribute('events'),
      ...(profile === null ? {} : { profile }),
      ...(userId === null ? {} : { userId }),
      ...this.recommenderOptions,
      server: this.getAttribute('server') ?? '',
    };
    this.#show(LOADING);
    this.#shared = share(options, {
      opened: (recommender) => {
        const source = new ListSource(recommender, () => this.#listOptions());
        this.#source = source;
        this.#stop = source.subscribe(() => {
          const { error } = source.state;
          // Not again at every ranking.
          if (error !== null && this.#state.error === null) {
            console.error(`<tandem-list>: ${error.message}`);
          }
          this.#show(source.state);
        });
      },
      failed: (error) => this.#show(failed(error)),
    });
  }

  #close(): void {
    this.#stop?.();
    this.#stop = null;
    this.#source = null;
    this.#shared?.release();
    this.#shared = null;
  }

  #listOptions(): RecommendOptions {
    const placement = this.getAttribute('placement');
    const diversity = this.getAttribute('diversity');
    return {
      k: Number(this.getAttribute('k') ?? DEFAULT_K),
      ...(placement === null ? {} : { placement }),
      ...(diversity === null ? {} : { diversity: Number(diversity) }),
      ...this.#options,
    };
  }

  #newList(): HTMLOListElement {
    const list = document.createElement('ol');
    list.addEventListener('click', ({ target }) => {
      const place = target instanceof Element ? target.closest<HTMLElement>('li') : null;
      const item = this.#state.items.find((shown) => this.#shown.get(shown.item) === place);
      if (item === undefined) return;
      this.#dispatch('tandem-click', item);
      // A failure of the worker is an `error` event of the recommender.
      const { recommendation } = this.#state;
      this.#shared
        ?.track({ type: 'click', item: item.item, recommendation })
        .catch(() => undefined);
    });
    this.append(list);
    return list;
  }

  #show(state: ListState): void {
    this.#state = state;
    this.setAttribute('status', state.status);
    if (this.#list !== null) this.#draw(this.#list);
    if (state !== LOADING) this.#dispatch('tandem-update', state);
  }

  /** Draws the items. Those that keep their place are not moved, so that they keep the focus. */
  #draw(list: HTMLOListElement): void {
    const { items } = this.#state;
    for (const [at, item] of items.entries()) {
      const place = this.#shown.get(item.item) ?? this.#drawn(item);
      this.#shown.set(item.item, place);
      const there = list.children[at] ?? null;
      if (there !== place) list.insertBefore(place, there);
    }
    while (list.children.length > items.length) list.lastElementChild?.remove();
    const named = new Set(items.map(({ item }) => item));
    for (const item of this.#shown.keys()) if (!named.has(item)) this.#shown.delete(item);
  }

  #drawn(item: RecommendedItem): HTMLLIElement {
    const place = document.createElement('li');
    place.append(this.#renderItem?.(item) ?? button(item));
    return place;
  }

  #dispatch(name: keyof TandemListEvents, detail: ListState | RecommendedItem): void {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
  }
}

/** Events of {@link TandemListElement}. */
export interface TandemListEvents {
  'tandem-update': CustomEvent<ListState>;
  'tandem-click': CustomEvent<RecommendedItem>;
}

declare global {
  interface HTMLElementTagNameMap {
    'tandem-list': TandemListElement;
  }
  interface HTMLElementEventMap extends TandemListEvents {}
}

function button({ item, title }: RecommendedItem): HTMLButtonElement {
  const made = document.createElement('button');
  made.type = 'button';
  made.dataset['item'] = item;
  made.textContent = title ?? item;
  return made;
}

const { customElements: registry } = globalThis as { customElements?: CustomElementRegistry };
if (registry !== undefined && registry.get('tandem-list') === undefined) {
  registry.define('tandem-list', TandemListElement);
}
