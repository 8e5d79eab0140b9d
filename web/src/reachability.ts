/**
 * Header of a stored copy that the service worker returns in place of the server's answer. The
 * service worker (`service-worker.js`) sets it.
 */
export const STORED_COPY = 'x-tandem-stored-copy';

/** Pause before the server is tried again, in milliseconds. */
const CHECK_MS = 10_000;

/** What {@link Reachability} needs. */
export interface ReachabilityOptions {
  /** Makes the requests. */
  send: typeof fetch;
  /** Address of a small answer of the server that is never stored. */
  address: string;
  /** Whether a request may be made now. */
  mayAsk(): boolean;
  /** Called after each request that tells whether the server answers. */
  onResult(reached: boolean): void;
}

/**
 * Tells whether the server answers, by the requests that the page makes anyway. `navigator.onLine`
 * does not tell that: a network may have no way to the server, and a server on the same machine
 * needs no network. Files of the release tell nothing, since they may be stored. While the server
 * does not answer, it is tried again.
 */
export class Reachability {
  readonly #options: ReachabilityOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
  }

  /** A `fetch` that notes whether the server answered. */
  readonly fetch: typeof fetch = async (input, init) => {
    const href = input instanceof Request ? input.url : String(input);
    const tells = /\/v1\/[a-z]+$/.test(href);
    try {
      const response = await this.#options.send(input, init);
      if (tells) this.#note(!response.headers.has(STORED_COPY));
      return response;
    } catch (error) {
      // A request that was given up tells nothing.
      if (tells && init?.signal?.aborted !== true) this.#note(false);
      throw error;
    }
  };

  /** Tries the server now. */
  async check(): Promise<void> {
    if (this.#options.mayAsk()) {
      // Noted in any case.
      await this.fetch(this.#options.address, { cache: 'no-store' }).catch(() => undefined);
    } else if (this.#timer !== undefined) this.#checkLater();
  }

  #note(reached: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!reached) this.#checkLater();
    this.#options.onResult(reached);
  }

  #checkLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.check(), CHECK_MS);
  }
}
