import {
  type Decision,
  type RecommendedItem,
  type Recommender,
  type RecommendOptions,
  TandemError,
} from '../page/index.js';

/** A list of recommendations for display. */
export interface ListState {
  /** Best first; empty until the first ranking, which may be before the first list. */
  readonly items: readonly RecommendedItem[];
  /** The device's last decision; `null` before the first ranking. */
  readonly decision: Decision | null;
  /** Id of this result; see `Recommendations`. */
  readonly recommendation: string | null;
  readonly status: 'loading' | 'ready' | 'failed';
  /** Why it is `failed`; otherwise `null`. */
  readonly error: TandemError | null;
}

/** The state before the first ranking. */
export const LOADING: ListState = {
  items: [],
  decision: null,
  recommendation: null,
  status: 'loading',
  error: null,
};

/** The state of a list whose recommender could not be opened. */
export function failed(error: TandemError): ListState {
  return { ...LOADING, status: 'failed', error };
}

/** Any thrown value as an error of this package. */
export function asTandemError(error: unknown): TandemError {
  if (error instanceof TandemError) return error;
  return new TandemError('internal', error instanceof Error ? error.message : String(error));
}

/**
 * A list that follows a recommender while it has subscribers. It is ranked again at every
 * update; updates that arrive meanwhile are joined.
 */
export class ListSource {
  readonly #recommender: Recommender;
  readonly #options: () => RecommendOptions;
  readonly #listeners = new Set<() => void>();
  #state = LOADING;
  #stop: (() => void) | null = null;
  #running = false;
  #again = false;
  #placement: string | undefined;

  /** `options` is called at every ranking. */
  constructor(recommender: Recommender, options: () => RecommendOptions) {
    this.#recommender = recommender;
    this.#options = options;
  }

  get state(): ListState {
    return this.#state;
  }

  /** Calls back after every change; returns the function that ends it. */
  subscribe(listener: () => void): () => void {
    const entry = (): void => listener();
    this.#listeners.add(entry);
    if (this.#stop === null) {
      this.#stop = this.#recommender.on('update', () => this.refresh());
      this.refresh();
    }
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size > 0) return;
      this.#stop?.();
      this.#stop = null;
      this.#fill(undefined);
    };
  }

  /** Ranks again, for example with other options. */
  refresh(): void {
    if (this.#stop === null) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    void this.#rank().finally(() => {
      this.#running = false;
      const again = this.#again;
      this.#again = false;
      if (again) this.refresh();
    });
  }

  async #rank(): Promise<void> {
    let next: ListState;
    let placement: string | undefined;
    try {
      const options = this.#options();
      placement = options.placement;
      this.#fill(placement);
      const { items, decision, recommendation } = await this.#recommender.recommend(options);
      next = { items, decision, recommendation, status: 'ready', error: null };
    } catch (error) {
      next = { ...this.#state, status: 'failed', error: asTandemError(error) };
    }
    if (this.#stop === null) {
      // Nobody shows the list any more.
      if (placement !== undefined) this.#recommender.releasePlacement(placement);
      return;
    }
    this.#state = next;
    for (const listener of [...this.#listeners]) listener();
  }

  /** The list is in another placement, or in none. */
  #fill(placement: string | undefined): void {
    const before = this.#placement;
    if (before !== undefined && before !== placement) this.#recommender.releasePlacement(before);
    this.#placement = placement;
  }
}
