import { type WireError, wireError } from '../shared/errors.js';
import { CACHE_NAME } from '../shared/names.js';

/**
 * Files on this device, for the next visit and for other tabs. They are stored in the Cache
 * API: all tabs of an origin share it, its files are outside of JavaScript's heap, and browsers
 * cache the compiled code of its WebAssembly. IndexedDB offers none of the three.
 *
 * Files of the model are stored under their SHA-256, which readers verify. Nothing is stored
 * before {@link allow}. If the cache fails, `onFault` is called once and the network is used.
 */
export class FileCache {
  readonly #onFault: (error: WireError) => void;
  readonly #readOnly: boolean;
  #allowed: boolean;
  #told = false;

  constructor(allowed: boolean, onFault: (error: WireError) => void, readOnly = false) {
    this.#allowed = allowed;
    this.#onFault = onFault;
    this.#readOnly = readOnly;
  }

  /** Whether files may be stored from now on; stored files stay. */
  allow(allowed: boolean): void {
    this.#allowed = allowed;
  }

  /** Whether files may be stored now. */
  get takes(): boolean {
    return this.#allowed && !this.#readOnly;
  }

  async get(name: string): Promise<Response | null> {
    return this.#use(async (cache) => (await cache.match(address(name))) ?? null);
  }

  async put(name: string, response: Response): Promise<void> {
    if (!this.takes) return;
    await this.#use(async (cache) => {
      await cache.put(address(name), response);
      return null;
    });
  }

  /** Removes files that no cached manifest names any more; a cell is named by its index. */
  async prune(): Promise<void> {
    if (!this.takes) return;
    await this.#use(async (cache) => {
      const keys = await cache.keys();
      const named = new Set<string>();
      for (const key of keys.filter(({ url }) => url.includes(`/${FOLDER}/manifest/`))) {
        const text = await (await cache.match(key))?.text();
        for (const [hash] of (text ?? '').matchAll(/[0-9a-f]{64}/g)) named.add(hash);
      }
      const stale = keys.filter(({ url }) => {
        const hash = MODEL_FILE.exec(url)?.[1];
        return hash !== undefined && !named.has(hash);
      });
      await Promise.all(stale.map((key) => cache.delete(key)));
      return null;
    });
  }

  async #use<T>(act: (cache: Cache) => Promise<T | null>): Promise<T | null> {
    if (!this.#allowed || typeof caches === 'undefined') return null;
    try {
      return await act(await caches.open(CACHE_NAME));
    } catch (error) {
      if (!this.#told) {
        this.#told = true;
        const { name, message } = error as { name?: string; message?: string };
        const code = name === 'QuotaExceededError' ? 'quota' : 'storage';
        this.#onFault(wireError(code, `the model’s files cannot be stored: ${message ?? name}`));
      }
      return null;
    }
  }
}

const FOLDER = '__tandem';
/** Address of a file of the model; its group is the hash of the file, or of a cell's index. */
const MODEL_FILE = new RegExp(`/${FOLDER}/(?:sha256|cell)/([0-9a-f]{64})(?:/|$)`);

/**
 * Keys of the Cache API are addresses; these are never requested. The API refuses the schemes of
 * extensions and app shells, so their files have a reserved name that no host can have.
 */
function address(name: string): string {
  const { href } = self.location;
  const base = href.startsWith('http') ? href : 'https://tandem.invalid/';
  return new URL(`/${FOLDER}/${name}`, base).href;
}
