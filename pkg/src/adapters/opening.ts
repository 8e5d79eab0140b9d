import {
  createRecommender,
  type Recommender,
  type RecommenderOptions,
  type TandemError,
  type TrackableEvent,
  type Update,
} from '../page/index.js';
import { asTandemError } from './list.js';

/** What an {@link Opening} reports. */
export interface OpeningListener {
  opened(recommender: Recommender): void;
  failed(error: TandemError): void;
}

/** A recommender that is being opened. Events that are tracked meanwhile wait for it. */
export class Opening {
  readonly #closing = new AbortController();
  readonly #recommender: Promise<Recommender>;

  /** The listener is called later, and not after {@link close}. */
  constructor(options: RecommenderOptions, listener: OpeningListener) {
    const { signal } = this.#closing;
    // The page's own signal ends it as well.
    options.signal?.addEventListener('abort', () => this.close(), { signal });
    if (options.signal?.aborted) this.close();
    this.#recommender = createRecommender({ ...options, signal });
    this.#recommender.then(
      (recommender) => {
        if (!signal.aborted) listener.opened(recommender);
      },
      (error: unknown) => {
        if (!signal.aborted) listener.failed(asTandemError(error));
      },
    );
  }

  /** Tracks an event once the recommender is open; rejects if it could not be opened. */
  async track(event: TrackableEvent): Promise<Update> {
    return (await this.#recommender).track(event);
  }

  /** Grants or withdraws the consent once the recommender is open. */
  async setConsent(granted: boolean): Promise<void> {
    await (await this.#recommender).setConsent(granted);
  }

  /** Aborts opening, or disposes of the recommender. */
  close(): void {
    this.#closing.abort();
  }
}
