/** Svelte: a recommender and its lists as stores. */
import {
  LifecycleError,
  type Recommender,
  type RecommenderOptions,
  type RecommendOptions,
  type TandemError,
  type TrackableEvent,
  type Update,
} from '../page/index.js';
import { failed, ListSource, type ListState, LOADING } from './list.js';
import { Opening } from './opening.js';

export type { ListState } from './list.js';

/** A store by Svelte's contract, for `$store` in a component. */
export interface Store<T> {
  subscribe(run: (value: T) => void): () => void;
}

/** A list that follows the session. */
export interface RecommendationsStore extends Store<ListState> {
  /** Ranks again with other options. */
  update(options: RecommendOptions): void;
}

/** A recommender for the components of a page. */
export interface Tandem {
  /** The recommender; `null` until it is open. */
  readonly recommender: Store<Recommender | null>;
  /** A list that follows the session while it has subscribers. */
  recommendations(options?: RecommendOptions): RecommendationsStore;
  /** Tracks an event, once the recommender is open. */
  track(event: TrackableEvent): Promise<Update>;
  /** Disposes of the recommender; to be called by `onDestroy`. */
  close(): void;
}

/** Opens a recommender. On a server it does nothing. */
export function createTandem(options: RecommenderOptions): Tandem {
  const recommender = new Value<Recommender | null>(null);
  const error = new Value<TandemError | null>(null);
  const opening =
    typeof window === 'undefined'
      ? null
      : new Opening(options, {
          opened: (opened) => recommender.set(opened),
          failed: (reason) => error.set(reason),
        });
  return {
    recommender,
    recommendations: (first = {}) => new Recommendations(recommender, error, first),
    track: (event) =>
      opening?.track(event) ??
      Promise.reject(new LifecycleError('disposed', 'there is no recommender on a server')),
    close: () => opening?.close(),
  };
}

/** A value and its subscribers. */
class Value<T> implements Store<T> {
  readonly #subscribers = new Set<(value: T) => void>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  set(value: T): void {
    this.#value = value;
    for (const run of [...this.#subscribers]) run(value);
  }

  subscribe(run: (value: T) => void): () => void {
    const entry = (value: T): void => run(value);
    this.#subscribers.add(entry);
    run(this.#value);
    return () => {
      this.#subscribers.delete(entry);
    };
  }
}

class Recommendations implements RecommendationsStore {
  readonly #recommender: Store<Recommender | null>;
  readonly #error: Store<TandemError | null>;
  /** Shared by all subscribers, so that the list is ranked once. */
  #source: ListSource | null = null;
  #options: RecommendOptions;

  constructor(
    recommender: Store<Recommender | null>,
    error: Store<TandemError | null>,
    options: RecommendOptions,
  ) {
    this.#recommender = recommender;
    this.#error = error;
    this.#options = options;
  }

  update(options: RecommendOptions): void {
    this.#options = options;
    this.#source?.refresh();
  }

  subscribe(run: (state: ListState) => void): () => void {
    let stop = (): void => {};
    run(this.#source?.state ?? LOADING);
    const ends = [
      this.#recommender.subscribe((recommender) => {
        if (recommender === null) return;
        this.#source ??= new ListSource(recommender, () => this.#options);
        const source = this.#source;
        stop = source.subscribe(() => run(source.state));
      }),
      this.#error.subscribe((error) => {
        if (error !== null) run(failed(error));
      }),
    ];
    return () => {
      for (const end of ends) end();
      stop();
    };
  }
}
