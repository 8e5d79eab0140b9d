import type { Fetched } from '../shared/generated.js';
import type { Arrivals } from '../shared/messages.js';
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
  /** How often rows or cells have arrived. */
  #arrivals = 0;

  constructor(host: MissingHost) {
    this.#host = host;
  }

  /** Makes a ranking, with the arrivals before it: what arrives during it may be missing in it. */
  async rank<T extends object>(ranking: () => Promise<T>): Promise<T & Arrivals> {
    const arrivals = this.#arrivals;
    return { ...(await ranking()), arrivals };
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
        if (fetched.update !== null) this.#arrivals += 1;
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
   * Fetches further cells. Not if rows or cells have arrived since the ranking with `known`
   * arrivals, or arrive with a request that is in flight: a new ranking comes first. Resolves with
   * whether something has arrived.
   */
  async fetchFurther(known: number): Promise<boolean> {
    while (this.#fetching !== null) await this.#fetching.done;
    if (this.#arrivals > known) return true;
    const client = this.#host.client();
    if (client === null) return false;
    const further = client.fetchFurther();
    const fetching = { again: false, done: further.then(nothing, nothing) };
    this.#fetching = fetching;
    try {
      const { errors, more } = await further;
      for (const error of errors) this.#host.fault(error);
      if (more) this.#arrivals += 1;
      return more;
    } finally {
      this.#fetching = null;
      if (fetching.again) this.fetch();
    }
  }
}

function nothing(): void {}
