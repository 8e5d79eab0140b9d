/** The settings of the manifest that the page can replace, to show what each is worth. */
export interface ManifestChanges {
  /** The language model's weight in the fusion, 0 to 1; `null`: as calibrated. */
  alpha: number | null;
  /** Whether the device learns from clicks. */
  learning: boolean;
}

/** One answered or failed request for a candidate list. */
export interface Exchange {
  bytesUp: number;
  /** Bytes of the response before compression. */
  bytesDown: number;
  /** Duration in milliseconds, with the chosen delay. */
  ms: number;
  /** HTTP status; `null` without a response. */
  status: number | null;
}

interface Stored {
  status: number;
  headers: [string, string][];
  body: ArrayBuffer;
}

/**
 * The requests of the page and of the package, made in one place: adds the chosen delay to
 * requests for lists, reports their size and duration, and changes settings of the manifest
 * before the package reads it.
 */
export class Wire {
  /** Added to every request for a list, in milliseconds. */
  delayMs = 0;
  changes: ManifestChanges = { alpha: null, learning: true };
  /** Called when the package makes a request for a list, before its delay. */
  onRequest: () => void = () => {};
  /** Called when such a request has been answered or has failed. */
  onExchange: (exchange: Exchange) => void = () => {};
  /** Responses that the page has fetched and the package will ask for. */
  readonly #shared = new Map<string, Promise<Stored>>();
  /** Names of the release for the server and for the package, if its manifest was changed. */
  #release: { real: string; changed: string } | null = null;
  readonly #send: typeof fetch;

  /** `send`: makes the requests, in place of `fetch`. */
  constructor(send: typeof fetch = (...request) => fetch(...request)) {
    this.#send = send;
  }

  /**
   * A file that the page and the package both need: fetched once. The package takes the
   * response when it asks for the same URL, so that a later attempt fetches it again.
   */
  async share(address: string, signal: AbortSignal): Promise<Response> {
    const href = absolute(address);
    const stored = this.#send(href, { signal }).then(store);
    this.#shared.set(href, stored);
    // The package handles a failure by itself.
    stored.catch(() => this.#shared.delete(href));
    return restored(await stored);
  }

  /** The `fetch` of the package. */
  readonly fetch: typeof fetch = async (input, init) => {
    const href = this.#real(input instanceof Request ? input.url : String(input));
    if (init?.method === 'POST') {
      const sent = { ...init, body: this.#real(String(init.body ?? '')) };
      if (!href.endsWith('/v1/candidates')) return this.#named(await this.#send(href, sent));
      this.onRequest();
      return this.#named(await this.candidates(href, sent, this.onExchange));
    }
    const shared = this.#shared.get(href);
    this.#shared.delete(href);
    const response =
      (await shared?.then(restored).catch(() => undefined)) ?? (await this.#send(href, init));
    return href.endsWith('/v1/manifest') && response.ok ? this.#changed(response) : response;
  };

  /**
   * Makes a request for a list with the chosen delay; reads the whole response. `onSend`: called
   * after the delay, when the request leaves the page.
   */
  async candidates(
    href: string,
    init: RequestInit,
    report: (exchange: Exchange) => void,
    onSend: () => void = () => {},
  ): Promise<Response> {
    const started = performance.now();
    const bytesUp = new TextEncoder().encode(String(init.body ?? '')).length;
    const done = (status: number | null, bytesDown: number): void =>
      report({ bytesUp, bytesDown, ms: performance.now() - started, status });
    try {
      await pause(this.delayMs, init.signal ?? null);
      onSend();
      const response = await this.#send(href, init);
      const stored = await store(response);
      done(stored.status, stored.body.byteLength);
      return restored(stored);
    } catch (error) {
      done(null, 0);
      throw error;
    }
  }

  /**
   * The manifest with the changed settings. A release is named by the hash of its manifest,
   * which the package verifies: a changed manifest gets its own name.
   */
  async #changed(response: Response): Promise<Response> {
    this.#release = null;
    const { alpha, learning } = this.changes;
    const real = response.headers.get('x-artifacts');
    if ((alpha === null && learning) || real === null) return response;
    const body = JSON.stringify(changedManifest(await response.json(), this.changes));
    const changed = (await sha256(body)).slice(0, real.length);
    this.#release = { real, changed };
    return this.#named(
      new Response(body, { status: response.status, headers: [...response.headers] }),
    );
  }

  /** A URL or body with the server's name of the release. */
  #real(text: string): string {
    return this.#release === null
      ? text
      : text.replaceAll(this.#release.changed, this.#release.real);
  }

  /** A response with the package's name of the release. */
  #named(response: Response): Response {
    if (this.#release === null || response.headers.get('x-artifacts') !== this.#release.real) {
      return response;
    }
    const headers = new Headers(response.headers);
    headers.set('x-artifacts', this.#release.changed);
    return new Response(response.body, { status: response.status, headers });
  }
}

/** The manifest with the changed settings; fields that it does not have stay absent. */
export function changedManifest(manifest: unknown, { alpha, learning }: ManifestChanges): unknown {
  if (!isObject(manifest)) return manifest;
  const changed: Record<string, unknown> = { ...manifest };
  if (alpha !== null) {
    changed['fusion'] = weighted(changed['fusion'], alpha);
    const models = changed['language_models'];
    if (Array.isArray(models)) {
      changed['language_models'] = models.map((model: unknown) =>
        isObject(model) ? { ...model, fusion: weighted(model['fusion'], alpha) } : model,
      );
    }
  }
  if (!learning) {
    const before = isObject(changed['learning']) ? changed['learning'] : {};
    changed['learning'] = { ...before, row_rate: 0, adapter_rate: 0, preference_rate: 0 };
  }
  return changed;
}

/** Only the weighted rule has a weight between 0 and 1. */
function weighted(fusion: unknown, alpha: number): unknown {
  return isObject(fusion) && fusion['rule'] === 'weighted' ? { ...fusion, alpha } : fusion;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The package makes its requests with absolute URLs. */
function absolute(address: string): string {
  return typeof document === 'undefined' ? address : new URL(address, document.baseURI).href;
}

async function store(response: Response): Promise<Stored> {
  const body = await response.arrayBuffer();
  return { status: response.status, headers: [...response.headers], body };
}

function restored({ status, headers, body }: Stored): Response {
  // A response with these statuses must not have a body.
  const content = status === 204 || status === 304 ? null : body.slice(0);
  return new Response(content, { status, headers });
}

function pause(ms: number, signal: AbortSignal | null): Promise<void> {
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
