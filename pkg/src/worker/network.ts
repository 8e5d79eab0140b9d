import { toWire, type WireError } from '../shared/errors.js';
import type { PageFetch } from '../shared/messages.js';
import type { FileCache } from './cache.js';
import type { LedgerBook } from './ledger.js';

/** A request as the WebAssembly client makes it; see `wasm-client/src/bindings.d.ts`. */
export interface Call {
  url: string;
  body?: string | undefined;
  timeoutMs: number;
  why: string;
  sha256?: string | undefined;
  /** Past every cache: the copy in it was damaged. */
  fresh: boolean;
}

/** An answer of any status. */
export interface Reply {
  status: number;
  retryAfter?: string | undefined;
  artifacts?: string | undefined;
  body: Uint8Array;
  /** It came from a cache of this device. */
  cached: boolean;
}

/** Makes a request; `fetch`, or the page's own. */
export type Fetcher = (request: PageFetch, signal: AbortSignal) => Promise<Response>;

/** How long the server may take for the manifest where an older one is at hand. */
export const MANIFEST_PATIENCE_MS = 3_000;

/** The worker's own way to the network. */
export const ownFetch: Fetcher = ({ url, method, headers, body }, signal) =>
  fetch(url, {
    method,
    headers,
    body,
    signal,
    // What belongs to another site's visitor is none of the recommender's business.
    credentials: 'same-origin',
  });

/**
 * Every request of a recommender goes through here: it is written down in the ledger, ended
 * when its time is up, and, for files of the model, answered from the cache where they lie.
 */
export class Network {
  readonly #fetcher: Fetcher;
  readonly #cache: FileCache;
  readonly #ledger: LedgerBook;
  readonly #key: string | null;
  readonly #underWay = new Map<number, AbortController>();
  #ownNumber = 0;

  constructor(fetcher: Fetcher, cache: FileCache, ledger: LedgerBook, key: string | null) {
    this.#fetcher = fetcher;
    this.#cache = cache;
    this.#ledger = ledger;
    this.#key = key;
  }

  /**
   * Sends a request and reads the whole answer. `number` is what {@link abort} takes.
   * Throws a `WireError` with `unreachable`, `timeout` or `aborted`.
   */
  async send(number: number, call: Call): Promise<Reply> {
    const controller = new AbortController();
    this.#underWay.set(number, controller);
    try {
      if (call.sha256 !== undefined) return await this.#file(call, call.sha256, controller);
      if (call.body === undefined && call.url.endsWith('/v1/manifest')) {
        return await this.#manifest(call, controller);
      }
      return await this.#exchange(call, controller);
    } finally {
      this.#underWay.delete(number);
    }
  }

  /** Ends a request; without effect once it is over. */
  abort(number: number): void {
    this.#underWay.get(number)?.abort('caller');
  }

  /** As {@link send}, for requests that the WebAssembly client does not know of. */
  request(call: Omit<Call, 'fresh'>): Promise<Reply> {
    this.#ownNumber -= 1;
    return this.send(this.#ownNumber, { ...call, fresh: false });
  }

  async #file(call: Call, hash: string, controller: AbortController): Promise<Reply> {
    const name = `sha256/${hash}`;
    const found = call.fresh ? null : await this.#cache.get(name);
    if (found !== null) return replyFrom(found, new Uint8Array(await found.arrayBuffer()), true);
    const reply = await this.#exchange(call, controller);
    if (reply.status === 200) await this.#cache.put(name, new Response(reply.body.slice()));
    return reply;
  }

  /** The server's manifest, or the last one that is known where the server does not answer. */
  async #manifest(call: Call, controller: AbortController): Promise<Reply> {
    const name = `manifest/${encodeURIComponent(call.url)}`;
    const known = await this.#cache.get(name);
    const timeoutMs =
      known === null ? call.timeoutMs : Math.min(call.timeoutMs, MANIFEST_PATIENCE_MS);
    let reply: Reply;
    try {
      reply = await this.#exchange({ ...call, timeoutMs }, controller);
      if (known !== null && (reply.status >= 500 || reply.status === 429)) throw null;
    } catch (error) {
      if (known === null || (error as WireError | null)?.code === 'aborted') throw error;
      return replyFrom(known, new Uint8Array(await known.arrayBuffer()), true);
    }
    if (reply.status === 200) {
      const headers = reply.artifacts === undefined ? {} : { 'x-artifacts': reply.artifacts };
      await this.#cache.put(name, new Response(reply.body.slice(), { headers }));
    }
    return reply;
  }

  async #exchange(call: Call, controller: AbortController): Promise<Reply> {
    const { url, body, timeoutMs, why } = call;
    const method = body === undefined ? 'GET' : 'POST';
    const answered = this.#ledger.note({ url, method, why, body: body ?? null });
    // Covers the body of the answer as well as its head.
    const timer = setTimeout(() => controller.abort('timeout'), timeoutMs);
    try {
      const headers: Record<string, string> = {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(this.#key === null ? {} : { authorization: `Bearer ${this.#key}` }),
      };
      const request: PageFetch = { url, method, headers, body: body ?? null };
      const response = await this.#fetcher(request, controller.signal);
      answered(response.status);
      return replyFrom(response, new Uint8Array(await response.arrayBuffer()), false);
    } catch (error) {
      const { reason } = controller.signal;
      if (reason === 'caller') throw failure('aborted', 'the request was aborted');
      if (reason === 'timeout') {
        throw failure('timeout', `${url} did not answer within ${timeoutMs} ms`);
      }
      throw failure(
        'unreachable',
        `${url} could not be reached (${toWire(error).message}); is the server running, and ` +
          `does it allow this page’s origin?`,
      );
    } finally {
      clearTimeout(timer);
    }
  }
}

function replyFrom(response: Response, body: Uint8Array, cached: boolean): Reply {
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after') ?? undefined,
    artifacts: response.headers.get('x-artifacts') ?? undefined,
    body,
    cached,
  };
}

function failure(code: WireError['code'], message: string): WireError {
  return { code, message };
}
