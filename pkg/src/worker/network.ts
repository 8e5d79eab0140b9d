import { toWire, wireError } from '../shared/errors.js';
import type {
  HttpRequest,
  HttpResponse,
  Problem,
  RowsRequest,
  RowsResponse,
} from '../shared/generated.js';
import type { Ledger } from '../shared/ledger.js';
import type { PageFetch } from '../shared/messages.js';
import type { FileCache } from './cache.js';

/** Makes a request: `fetch`, or the page's own function. */
export type Fetcher = (request: PageFetch, signal: AbortSignal) => Promise<Response>;

/** Time limit for the manifest if an older one is in the cache, in milliseconds. */
export const MANIFEST_PATIENCE_MS = 3_000;

/** Purpose of requests for rows of available items: these have no events that would not count. */
const WHY_AVAILABLE = 'rows of available items';

/** What passes through the network and is used by the worker itself. */
export interface NetworkObserver {
  /** The file with the titles of the catalogue. */
  onItems(file: Uint8Array): void;
  /** The server does not know these items. */
  onUnknown(items: string[]): void;
}

/** The worker's own `fetch`. */
export const ownFetch: Fetcher = ({ url, method, headers, body }, signal) =>
  fetch(url, {
    method,
    headers,
    body,
    signal,
    // No cookies to other origins: the recommender has no use for them.
    credentials: 'same-origin',
  });

/**
 * All requests of a recommender. Writes them to the ledger and serves files of the model from
 * the cache. Time limits and aborts come with the signal.
 */
export class Network {
  readonly #fetcher: Fetcher;
  readonly #cache: FileCache;
  readonly #ledger: Ledger;
  readonly #key: string | null;
  readonly #observer: NetworkObserver | null;
  /** SHA-256 of the manifest's file with the titles. */
  #itemsHash: string | null = null;

  constructor(
    fetcher: Fetcher,
    cache: FileCache,
    ledger: Ledger,
    key: string | null,
    observer: NetworkObserver | null = null,
  ) {
    this.#observer = observer;
    this.#fetcher = fetcher;
    this.#cache = cache;
    this.#ledger = ledger;
    this.#key = key;
  }

  /** Sends a request and reads the whole response. Rejects with a `WireError`, `unreachable`. */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const response = withReason(request, await this.#answer(request, signal));
    if (this.#observer !== null && response.status === 200) {
      this.#observe(this.#observer, request, response.body);
    }
    return response;
  }

  #observe(
    observer: NetworkObserver,
    { url, sha256, body, why }: HttpRequest,
    file: Uint8Array,
  ): void {
    if (sha256 !== null) {
      if (sha256 === this.#itemsHash) observer.onItems(file);
    } else if (body === null && url.endsWith('/v1/manifest')) {
      this.#itemsHash = jsonOf<{ items?: { sha256?: string } }>(file)?.items?.sha256 ?? null;
    } else if (body !== null && url.endsWith('/v1/rows') && why !== WHY_AVAILABLE) {
      const { rows } = jsonOf<Partial<RowsResponse>>(file) ?? {};
      if (rows === undefined) return;
      const known = new Set(rows.map(({ item }) => item));
      const unknown = (JSON.parse(body) as RowsRequest).items.filter((item) => !known.has(item));
      if (unknown.length > 0) observer.onUnknown(unknown);
    }
  }

  #answer(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    if (request.sha256 !== null) return this.#file(request, fileName(request), signal);
    if (request.body === null && request.url.endsWith('/v1/manifest')) {
      return this.#manifest(request, signal);
    }
    return this.#exchange(request, signal);
  }

  async #file(request: HttpRequest, name: string, signal: AbortSignal): Promise<HttpResponse> {
    const found = request.fresh ? null : await this.#cache.get(name);
    if (found !== null) return received(found, true);
    const response = await this.#exchange(request, signal);
    // Not awaited: the file is used while it is being stored.
    if (response.status === 200 && this.#cache.takes) void this.#cache.put(name, copyOf(response));
    return response;
  }

  /** The server's manifest, or the cached one if the server does not answer. */
  async #manifest(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const name = `manifest/${encodeURIComponent(request.url)}`;
    const known = await this.#cache.get(name);
    const response =
      known === null
        ? await this.#exchange(request, signal)
        : await this.#exchangeInTime(request, signal);
    // Without a response, or with one that says nothing about the manifest.
    if (
      known !== null &&
      (response === null || response.status >= 500 || response.status === 429)
    ) {
      return received(known, true);
    }
    if (response === null) throw wireError('unreachable', `${request.url} did not answer`);
    if (response.status === 200) await this.#cache.put(name, copyOf(response));
    return response;
  }

  /** `null` if the server cannot be reached within {@link MANIFEST_PATIENCE_MS}. */
  async #exchangeInTime(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse | null> {
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    const timer = setTimeout(abort, MANIFEST_PATIENCE_MS);
    signal.addEventListener('abort', abort);
    try {
      return await this.#exchange(request, controller.signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return null;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }

  async #exchange({ url, body, why }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const method = body === null ? 'GET' : 'POST';
    const bytes = body === null ? 0 : new TextEncoder().encode(body).length;
    const answered = this.#ledger.note({ url, method, why, body, bytes });
    const headers: Record<string, string> = {
      ...(body === null ? {} : { 'content-type': 'application/json' }),
      ...(this.#key === null ? {} : { authorization: `Bearer ${this.#key}` }),
    };
    try {
      const response = await this.#fetcher({ url, method, headers, body }, signal);
      answered(response.status);
      return await received(response, false);
    } catch (error) {
      throw wireError(
        'unreachable',
        `${url} could not be reached (${toWire(error).message}): check that the server is ` +
          `running and allows this page’s origin (cloud-server --allow-origin ${origin()})`,
      );
    }
  }
}

/** The origin of the page, which is that of its worker. */
function origin(): string {
  return globalThis.location?.origin ?? 'ORIGIN';
}

/**
 * A 404 for a route of the protocol without a problem document is that of another server. The
 * session reads the reason from the body, so this adds one.
 */
function withReason({ url, sha256 }: HttpRequest, response: HttpResponse): HttpResponse {
  if (response.status !== 404 || sha256 !== null) return response;
  if (typeof jsonOf<Partial<Problem>>(response.body)?.code === 'string') return response;
  const server = url.replace(/\/v1\/.*$/, '');
  const problem: Problem = {
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    detail: `there is probably no Tandem server at ${server}: check the option server`,
    code: 'not_found',
  };
  return { ...response, body: new TextEncoder().encode(JSON.stringify(problem)) };
}

/** A JSON body; `null` if it is none. The session reports what it cannot read. */
function jsonOf<T>(body: Uint8Array): T | null {
  try {
    return JSON.parse(new TextDecoder().decode(body)) as T | null;
  } catch {
    return null;
  }
}

/** Name of a file in the cache. */
function fileName({ sha256, cellIndex }: HttpRequest): string {
  return cellIndex === null ? `sha256/${sha256}` : `cell/${cellIndex}/${sha256}`;
}

/** The response as it is stored; the constructor copies the body. */
function copyOf({ body, artifacts }: HttpResponse): Response {
  const headers = artifacts === null ? {} : { 'x-artifacts': artifacts };
  return new Response(body as Uint8Array<ArrayBuffer>, { headers });
}

async function received(response: Response, cached: boolean): Promise<HttpResponse> {
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    artifacts: response.headers.get('x-artifacts'),
    body: new Uint8Array(await response.arrayBuffer()),
    cached,
  };
}
