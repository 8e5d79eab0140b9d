import { UsageError } from '../shared/errors.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Progress, RankedItem } from '../shared/update.js';

/** How a recommender is made; all but `server` may be left out. */
export interface RecommenderOptions {
  /** Address of the cloud server; relative ones are resolved against the page. */
  server: string;
  /**
   * Where the small model runs. `auto`, the default, is the CPU: for a model of this size
   * it is faster than the cost of dispatching to a GPU. `webgpu` falls back to the CPU
   * where there is none; `state().device` says which it is.
   */
  device?: 'auto' | 'webgpu' | 'cpu';
  /** How long a request to the server may take, in milliseconds. */
  timeoutMs?: number;
  /** Ends opening when aborted, and disposes of the recommender afterwards. */
  signal?: AbortSignal;
  /** Called while files are being fetched. */
  onProgress?: (progress: Progress) => void;
  /** Address of the package's worker, where a bundler cannot find it by itself. */
  workerUrl?: string | URL;
  /** Address of the folder with `cpu/tandem_bg.wasm` and `webgpu/tandem_bg.wasm`. */
  wasmUrl?: string | URL;
}

/** What {@link Recommender.recommend} leaves in; evaluated on the page, never sent. */
export interface RecommendOptions {
  /** At most this many items; all of the list if absent. */
  k?: number;
  /** Items not to show. */
  exclude?: Iterable<string>;
  /** Keeps the items for which it returns `true`. */
  filter?: (item: RankedItem) => boolean;
}

/** Checks options and makes addresses absolute: a worker has another base than its page. */
export function openSettings(options: RecommenderOptions, base: string): OpenSettings {
  const { server, device = 'auto', timeoutMs, wasmUrl } = options;
  if (typeof server !== 'string') throw argument('server', 'an address', server);
  if (device !== 'auto' && device !== 'webgpu' && device !== 'cpu') {
    throw argument('device', "'auto', 'webgpu' or 'cpu'", device);
  }
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw argument('timeoutMs', 'a positive number of milliseconds', timeoutMs);
  }
  return {
    server: absolute('server', server, base).href.replace(/\/+$/, ''),
    device: device === 'webgpu' ? 'webgpu' : 'cpu',
    timeoutMs: timeoutMs ?? null,
    wasmUrl: wasmUrl === undefined ? null : folder(absolute('wasmUrl', wasmUrl, base)),
  };
}

/** Applies exclusions, filter and length to a fused list, in this order. */
export function select(items: readonly RankedItem[], options: RecommendOptions): RankedItem[] {
  const { k, exclude, filter } = options;
  if (k !== undefined && !(Number.isInteger(k) && k > 0)) {
    throw argument('k', 'a positive whole number', k);
  }
  const excluded = new Set(exclude);
  const kept = items.filter(
    (item) => !excluded.has(item.item) && (filter === undefined || filter(item)),
  );
  return k === undefined ? kept : kept.slice(0, k);
}

/** The error for an argument that is not what it should be. */
export function argument(name: string, expected: string, found: unknown): UsageError {
  return new UsageError(
    'invalid_argument',
    `${name}: expected ${expected}, found ${JSON.stringify(found) ?? String(found)}`,
  );
}

function absolute(name: string, address: string | URL, base: string): URL {
  try {
    return new URL(address, base);
  } catch {
    throw argument(name, 'an address', String(address));
  }
}

function folder(address: URL): string {
  return address.href.endsWith('/') ? address.href : `${address.href}/`;
}
