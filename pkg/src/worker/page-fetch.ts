import type { PageFetch, PageFetched } from '../shared/messages.js';
import type { Fetcher } from './network.js';

/** Messages to the page: a part of those of the worker. */
export type FetchNotice =
  | { kind: 'fetch'; id: number; request: PageFetch }
  | { kind: 'abortFetch'; id: number };

/** Requests that the page makes for the worker with its own function. */
export class PageFetcher {
  readonly #post: (notice: FetchNotice) => void;
  readonly #waiting = new Map<number, (answer: PageFetched) => void>();
  #lastId = 0;

  constructor(post: (notice: FetchNotice) => void) {
    this.#post = post;
  }

  /** Takes the page's response. */
  answer(id: number, answer: PageFetched): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }

  readonly fetch: Fetcher = (request, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      this.#lastId += 1;
      const id = this.#lastId;
      signal.addEventListener('abort', () => {
        this.#waiting.delete(id);
        this.#post({ kind: 'abortFetch', id });
        reject(signal.reason);
      });
      this.#waiting.set(id, (answer) => {
        if ('error' in answer) {
          reject(new Error(answer.error));
          return;
        }
        const { status, headers, body } = answer;
        // `Response` refuses a body for these statuses.
        const empty = status === 204 || status === 205 || status === 304;
        const content = empty ? null : (body as Uint8Array<ArrayBuffer>);
        resolve(new Response(content, { status, headers }));
      });
      this.#post({ kind: 'fetch', id, request });
    });
}
