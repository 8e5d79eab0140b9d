import type { PageFetch, PageFetched } from '../shared/messages.js';

/** Requests of the worker: a part of its messages. */
type FetchNotice =
  | { kind: 'fetch'; id: number; request: PageFetch }
  | { kind: 'abortFetch'; id: number };

/** Makes the worker's requests with the page's own function. */
export class PageRequests {
  readonly #fetch: typeof fetch;
  readonly #answer: (id: number, answer: PageFetched) => void;
  readonly #underWay = new Map<number, AbortController>();

  constructor(own: typeof fetch, answer: (id: number, answer: PageFetched) => void) {
    this.#fetch = own;
    this.#answer = answer;
  }

  receive(notice: FetchNotice): void {
    if (notice.kind === 'fetch') void this.#make(notice.id, notice.request);
    else this.#underWay.get(notice.id)?.abort();
  }

  async #make(id: number, { url, method, headers, body }: PageFetch): Promise<void> {
    const controller = new AbortController();
    this.#underWay.set(id, controller);
    try {
      const { signal } = controller;
      const response = await this.#fetch(url, { method, headers, body, signal });
      this.#answer(id, {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        body: new Uint8Array(await response.arrayBuffer()),
      });
    } catch (error) {
      this.#answer(id, { error: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#underWay.delete(id);
    }
  }
}
