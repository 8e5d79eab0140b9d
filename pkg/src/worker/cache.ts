import type { WireError } from '../shared/errors.js';
import { CACHE_NAME } from '../shared/names.js';

/**
 * Files on this device, for the next visit and for other tabs. Kept in the Cache API, which
 * every tab of an origin shares, which holds files outside of JavaScript's heap, and whose
 * WebAssembly the browser need not compile anew; IndexedDB has none of the three.
 *
 * Files of the model lie under their SHA-256, and whoever reads them checks it. Nothing is
 * kept before {@link allow}. A cache that fails is as good as none: it is told once, by
 * `onFault`, and the network serves.
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

  /** Whether files may be kept; what is there already is left to {@link clearFiles}. */
  allow(allowed: boolean): void {
    this.#allowed = allowed;
  }

  /** Whether something may be put here now. */
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

  /** Removes the model's files that no manifest in the cache names any more. */
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
        const hash = new RegExp(`/${FOLDER}/sha256/([0-9a-f]{64})$`).exec(url)?.[1];
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
        this.#onFault({ code, message: `the model’s files cannot be kept: ${message ?? name}` });
      }
      return null;
    }
  }
}

const FOLDER = '__tandem';

/** Keys of the Cache API are addresses; these are never asked for. */
function address(name: string): string {
  return new URL(`/${FOLDER}/${name}`, self.location.href).href;
}
