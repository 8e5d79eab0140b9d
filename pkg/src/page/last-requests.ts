import { ServerError } from '../shared/errors.js';
import { Ledger } from '../shared/ledger.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Ledger as LedgerContent } from '../shared/update.js';
import { DEFAULT_TIMEOUT_MS } from './options.js';

/**
 * Requests that outlive the page, for events of a page that is being left. The page makes them,
 * because its worker ends with it; all other requests are the worker's.
 */
export class LastRequests {
  readonly #settings: () => OpenSettings;
  readonly #fetch: typeof fetch;
  readonly #ledger = new Ledger();

  /** `own`: the page's function for requests. */
  constructor(settings: () => OpenSettings, own: typeof fetch | undefined) {
    this.#settings = settings;
    this.#fetch = own ?? ((input, init) => fetch(input, init));
  }

  /** Posts a body; rejects unless it is accepted. `null` while the network is forbidden. */
  send(path: string, body: string, why: string): Promise<void> | null {
    return this.#settings().offline ? null : this.#post(path, body, why);
  }

  /** All requests of the worker and of the page. */
  joined({ entries, dropped, bytes }: LedgerContent): LedgerContent {
    const own = this.#ledger.read();
    return {
      entries: [...entries, ...own.entries].sort((a, b) => a.at - b.at),
      dropped: dropped + own.dropped,
      bytes: bytes + own.bytes,
    };
  }

  async #post(path: string, body: string, why: string): Promise<void> {
    const { server, key, timeoutMs } = this.#settings();
    const url = `${server}${path}`;
    const bytes = new TextEncoder().encode(body).length;
    const answered = this.#ledger.note({ method: 'POST', url, why, body, bytes });
    const { status, ok } = await this.#fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      },
      body,
      keepalive: true,
      signal: AbortSignal.timeout(timeoutMs ?? DEFAULT_TIMEOUT_MS),
      credentials: 'same-origin',
    });
    answered(status);
    if (!ok)
      throw new ServerError('bad_response', `${url}: expected success, found HTTP ${status}`);
  }
}
