/**
 * The server of a site without a server: answers the requests of page and package from files that
 * `cargo xtask site` has made. Lists were made in advance for histories that many visitors have. For
 * a longer history it answers with the list for the longest end of it that has one; the device's own
 * search adds what that list lacks.
 */

/** `lists/index.json`: the histories of several items that have a list of their own. */
export interface ListIndex {
  /** Items of the longest of them. */
  longest: number;
  keys: readonly string[];
}

/** `lists/<key>.json`: the parts of the server's response that do not change. */
export interface StoredList {
  model: string;
  catalogue_hash: string;
  ranking: 'language_model' | 'popularity';
  candidates: readonly { item: string; logprob: number }[];
}

/** The part of a request for candidates that a stored list can follow. */
interface Wanted {
  history: readonly string[];
  exclude?: readonly string[];
  k?: number;
}

/** Default number of candidates of a list. */
const CANDIDATES = 50;
const KEY_DIGITS = 16;

/** Name of the list for a history: the beginning of the SHA-256 of its JSON. */
export async function keyOf(history: readonly string[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(history));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.slice(0, KEY_DIGITS);
}

/**
 * A `fetch` for the page and the package. `release`: absolute address of the folder of the
 * artefacts, which is named by their hash.
 */
export function staticServer(release: string, send: typeof fetch): typeof fetch {
  const folder = release.replace(/\/*$/, '/');
  const name = folder.split('/').at(-2) ?? '';
  let index: Promise<ListIndex> | null = null;

  async function json<T>(file: string, signal: AbortSignal | null | undefined): Promise<T> {
    const response = await send(`${folder}${file}`, { signal: signal ?? null });
    if (!response.ok) throw new TypeError(`${file}: HTTP status ${response.status}`);
    return (await response.json()) as T;
  }

  /** The list for the longest end of the history that has one. */
  async function listFor(
    history: readonly string[],
    signal: AbortSignal | null | undefined,
  ): Promise<StoredList> {
    if (history.length > 1) {
      index ??= json<ListIndex>('lists/index.json', null);
      const { longest, keys } = await index.catch((error) => {
        index = null;
        throw error;
      });
      for (let length = Math.min(history.length, longest); length > 1; length -= 1) {
        const key = await keyOf(history.slice(-length));
        if (keys.includes(key)) return json(`lists/${key}.json`, signal);
      }
    }
    return json(`lists/${await keyOf(history.slice(-1))}.json`, signal);
  }

  async function candidates(init: RequestInit): Promise<Response> {
    const { history, exclude = [], k = CANDIDATES } = JSON.parse(String(init.body)) as Wanted;
    const list = await listFor(history, init.signal);
    const barred = new Set([...history, ...exclude]);
    const none = { queue_ms: 0, prompt_ms: 0, decode_ms: 0, total_ms: 0 };
    return answer({
      ...list,
      candidates: list.candidates.filter(({ item }) => !barred.has(item)).slice(0, k),
      ignored: { unknown: 0, duplicate: 0, truncated: 0 },
      timings: { ...none, prompt_tokens: 0, decoded_tokens: 0 },
    });
  }

  function answer(body: unknown): Response {
    const headers = { 'content-type': 'application/json', 'x-artifacts': name };
    return new Response(JSON.stringify(body), { headers });
  }

  return async (input, init = {}) => {
    const href = input instanceof Request ? input.url : String(input);
    const api = /\/v1\/([a-z]+)$/.exec(href)?.[1];
    if (api === 'candidates') return candidates(init);
    if (api === 'models' || api === 'status') return send(`${folder}${api}.json`, init);
    if (api === 'manifest') {
      const response = await send(`${folder}manifest.json`, init);
      if (!response.ok) return response;
      const headers = new Headers(response.headers);
      headers.set('x-artifacts', name);
      return new Response(response.body, { status: response.status, headers });
    }
    return send(input, init);
  };
}
