import type { Fetched } from '../shared/generated.js';
import type { Client } from './engine.js';

/** What {@link MissingFiles} needs of the host. */
interface MissingHost {
  /** The client in use, unless the page only tries the product out. */
  client(): Client | null;
  /** Uses what has arrived; `current`: the client is still in use. */
  arrived(fetched: Fetched, current: boolean): void;
  fault(error: unknown): void;
}

/**
 * Fetches the rows and cells that the session lacks, one request at a time. Not in the queue of the
 * host: clicks are processed while the files are loading.
 */
export class MissingFiles {
  readonly #host: MissingHost;
  /** The request in flight, until `done`; `again`: there was another event since. */
  #fetching: { again: boolean; done: Promise<void> } | null = null;

  constructor(host: MissingHost) {
    this.#host = host;
  }

  /** Fetches what is missing after an event. */
  fetch(): void {
    const client = this.#host.client();
    if (client === null) return;
    if (this.#fetching !== null) {
      this.#fetching.again = true;
      return;
    }
    const fetching = { again: false, done: Promise.resolve() };
    this.#fetching = fetching;
    fetching.done = client
      .fetchMissing()
      .then((fetched) => {
        fetching.again ||= fetched.more;
        this.#host.arrived(fetched, client === this.#host.client());
      })
      .catch((error: unknown) => this.#host.fault(error))
      .finally(() => {
        this.#fetching = null;
        // There was an event in the meantime, or there are rows to choose cells by now. Not
        // otherwise: with little memory, cells that were dropped would be fetched for ever.
        if (fetching.again) this.fetch();
      });
  }

  /**
   * Fetches further cells. Resolves with whether rows or cells have arrived, also those of a
   * request that was in flight.
   */
  async fetchFurther(): Promise<boolean> {
    let arrived = false;
    while (this.#fetching !== null) {
      arrived = true;
      await this.#fetching.done;
    }
    const client = this.#host.client();
    if (arrived || client === null) return arrived;
    const further = client.fetchFurther();
    const fetching = { again: false, done: further.then(nothing, nothing) };
    this.#fetching = fetching;
    try {
      const { errors, more } = await further;
      for (const error of errors) this.#host.fault(error);
      return more;
    } finally {
      this.#fetching = null;
      if (fetching.again) this.fetch();
    }
  }
}

function nothing(): void {}
