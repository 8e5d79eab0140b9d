import {
  type Connection,
  createRecommender,
  type Decision,
  type RecommendedItem,
  type Recommender,
  type RecommenderOptions,
} from '@tandem-rec/client';
import { described } from '../announcements.ts';
import { type Catalogue, loadCatalogue, loadStatus, type ServiceStatus } from '../catalogue.ts';
import { type Choice, everything, filterOf, type Goods, inStock } from './goods.ts';

/** Products on the shelf. */
export const SHELF = 12;

export interface GoodsState {
  phase: 'loading' | 'ready' | 'failed';
  failure: { code: string; message: string } | null;
  catalogue: Catalogue | null;
  goods: Goods | null;
  status: ServiceStatus | null;
  /** The recommended products that match the choice. */
  items: readonly RecommendedItem[];
  /** Whether there was a first ranking, which may be empty. */
  ranked: boolean;
  choice: Choice;
  query: string;
  history: readonly string[];
  basket: readonly string[];
  /** After the last event; `null` before the first. */
  decision: Decision | null;
  /** Duration of the last ranking in milliseconds; `null` before the first click. */
  rerankMs: number | null;
  calls: number;
  connection: Connection | null;
  offline: boolean;
  /** Message of the last background error. */
  problem: string | null;
}

const initial: GoodsState = {
  phase: 'loading',
  failure: null,
  catalogue: null,
  goods: null,
  status: null,
  items: [],
  ranked: false,
  choice: everything,
  query: '',
  history: [],
  basket: [],
  decision: null,
  rerankMs: null,
  calls: 0,
  connection: null,
  offline: false,
  problem: null,
};

/** The methods of a recommender that the shop uses. */
export type GoodsRecommender = Pick<
  Recommender,
  'dispose' | 'on' | 'recommend' | 'setAvailable' | 'setOffline' | 'track'
>;

/** Where the shop gets its data. */
export interface GoodsSource {
  server: string;
  /** Address of prices and stock; `null`: the shop has none. */
  goods: string | null;
  /** Makes the requests to the server, in place of `fetch`. */
  send?: typeof fetch;
  create?: (options: RecommenderOptions) => Promise<GoodsRecommender>;
}

/** A shop with prices, categories and stock. */
export class GoodsShop {
  readonly #source: GoodsSource;
  readonly #render: (state: GoodsState) => void;
  #state = initial;
  #recommender: GoodsRecommender | null = null;
  #opening = new AbortController();
  #ranking = 0;

  constructor(source: GoodsSource, render: (state: GoodsState) => void) {
    this.#source = source;
    this.#render = render;
  }

  async open(): Promise<void> {
    this.#set(initial);
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    const { server, send, create = createRecommender } = this.#source;
    const getter = (address: string): Promise<Response> => (send ?? fetch)(address, { signal });
    try {
      const [recommender] = await Promise.all([
        create({ server, signal, ...(send === undefined ? {} : { fetch: send }) }),
        loadCatalogue(server, signal, getter).then((catalogue) => this.#set({ catalogue })),
        this.#loadGoods(signal).then((goods) => this.#set({ goods })),
        loadStatus(server, signal, getter).then(
          (status) => this.#set({ status }),
          () => undefined,
        ),
      ]);
      this.#recommender?.dispose();
      this.#recommender = recommender;
      recommender.on('update', ({ cause, decision, timings, stats, history, connection }) => {
        this.#set({ calls: stats.calls, history, connection });
        // The decision after the click: a list that has arrived since is no reason of it.
        if (cause === 'event') {
          this.#set({ decision, rerankMs: timings.rerankMs, problem: null });
        }
        void this.#rank();
      });
      recommender.on('error', ({ message }) => this.#set({ problem: message }));
      this.#set({ phase: 'ready' });
      await this.#setStock();
      await this.#rank();
    } catch (error) {
      if (signal.aborted) return;
      this.#opening.abort();
      this.#set({ phase: 'failed', failure: described(error) });
    }
  }

  /** Ends the recommender. */
  close(): void {
    this.#opening.abort();
    this.#recommender?.dispose();
    this.#recommender = null;
  }

  async choose(changes: Partial<Choice>): Promise<void> {
    const stockBefore = this.#state.choice.inStock;
    this.#set({ choice: { ...this.#state.choice, ...changes } });
    if (this.#state.choice.inStock !== stockBefore) await this.#attempt(() => this.#setStock());
    await this.#rank();
  }

  search(query: string): void {
    this.#set({ query });
  }

  /** The visitor looks at a product. */
  async look(item: string): Promise<void> {
    if (this.#state.history.at(-1) === item) return;
    await this.#attempt((recommender) => recommender.track({ type: 'click', item }));
  }

  /** The visitor puts a product into the basket. */
  async buy(item: string): Promise<void> {
    if (this.#state.basket.includes(item)) return;
    this.#set({ basket: [...this.#state.basket, item] });
    await this.#attempt((recommender) => recommender.track({ type: 'purchase', item }));
  }

  async setOffline(offline: boolean): Promise<void> {
    this.#set({ offline });
    await this.#attempt((recommender) => recommender.setOffline(offline));
  }

  async #loadGoods(signal: AbortSignal): Promise<Goods | null> {
    const { goods } = this.#source;
    if (goods === null) return null;
    const response = await fetch(goods, { signal });
    if (!response.ok) throw new Error(`${goods}: HTTP status ${response.status}`);
    return (await response.json()) as Goods;
  }

  /** Tells the device what can be bought; it then recommends nothing else. */
  async #setStock(): Promise<void> {
    const { goods, choice } = this.#state;
    await this.#recommender?.setAvailable(choice.inStock ? inStock(goods) : null);
  }

  async #rank(): Promise<void> {
    const { catalogue, choice, goods } = this.#state;
    if (this.#recommender === null || catalogue === null) return;
    this.#ranking += 1;
    const number = this.#ranking;
    await this.#attempt(async (recommender) => {
      const filter = filterOf(choice, catalogue, goods);
      const { items, connection } = await recommender.recommend({ k: SHELF, filter });
      if (number === this.#ranking) this.#set({ items, connection });
    });
    if (number === this.#ranking) this.#set({ ranked: true });
  }

  async #attempt(call: (recommender: GoodsRecommender) => Promise<unknown>): Promise<void> {
    if (this.#recommender === null) return;
    try {
      await call(this.#recommender);
    } catch (error) {
      this.#set({ problem: described(error).message });
    }
  }

  #set(changes: Partial<GoodsState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#render(this.#state);
  }
}
