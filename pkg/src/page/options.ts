import { UsageError } from '../shared/errors.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Progress, RankedItem } from '../shared/update.js';
import { applyRules, type Rule } from './rules.js';
import type { PersonalStorage } from './storage.js';

/** How a recommender is made; all but `server` may be left out. */
export interface RecommenderOptions {
  /** Address of the cloud server; relative ones are resolved against the page. */
  server: string;
  /** Sent to the server as `Authorization: Bearer …`, for a gateway in front of it. */
  key?: string;
  /**
   * Where the small model runs. `auto`, the default, begins on the CPU. With consent, and
   * where there is a GPU that is not made of software, it measures both once, aside from the
   * session, and the next visits run on the faster ({@link RecommenderState.deviceTrial}).
   * `webgpu` falls back to the CPU where there is none; `state().device` says which it is.
   */
  device?: 'auto' | 'webgpu' | 'cpu';
  /** The language model that makes the lists, one of {@link Recommender.models}. */
  model?: string;
  /**
   * Whether the visitor agreed that session, personal delta and the model's files are kept
   * on this device. Without it, the default, nothing outlives the page; see
   * {@link Recommender.setConsent}.
   */
  consent?: boolean;
  /** Where a session is kept once there is consent; IndexedDB if absent. */
  storage?: PersonalStorage;
  /**
   * Whether events are sent to the server's log, which it must offer (`cloud-server
   * --events`). They wait while it cannot be reached.
   */
  events?: boolean;
  /**
   * Measures without showing: the cloud is asked for nothing, and all that leaves the device
   * is the number that {@link Recommender.compare} finds.
   */
  shadow?: boolean;
  /** How often the cloud may be asked for a list, in place of the limit that it ships. */
  budget?: {
    /** So many lists at once, at least 1. */
    burst: number;
    /** So many are regained per minute. */
    perMinute: number;
  };
  /** How long a request to the server may take, in milliseconds. */
  timeoutMs?: number;
  /** Ends opening when aborted, and disposes of the recommender afterwards. */
  signal?: AbortSignal;
  /** Called while files are being fetched. */
  onProgress?: (progress: Progress) => void;
  /** Makes the requests to the server, on the page, in place of the worker's own `fetch`. */
  fetch?: typeof fetch;
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
  /** Applied in their order, before `k`. */
  rules?: readonly Rule[];
}

/** Checks options and makes addresses absolute: a worker has another base than its page. */
export function openSettings(options: RecommenderOptions, base: string): OpenSettings {
  const { server, key, device = 'auto', model, budget, timeoutMs, wasmUrl } = options;
  if (typeof server !== 'string') throw argument('server', 'an address', server);
  if (device !== 'auto' && device !== 'webgpu' && device !== 'cpu') {
    throw argument('device', "'auto', 'webgpu' or 'cpu'", device);
  }
  for (const [name, value] of Object.entries({ key, model })) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw argument(name, 'some text', value);
    }
  }
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw argument('timeoutMs', 'a positive number of milliseconds', timeoutMs);
  }
  if (budget !== undefined) {
    const { burst, perMinute } = budget;
    if (!(Number.isInteger(burst) && burst >= 1)) {
      throw argument('budget.burst', 'a whole number from 1', burst);
    }
    if (!(Number.isFinite(perMinute) && perMinute >= 0)) {
      throw argument('budget.perMinute', 'a number from 0', perMinute);
    }
  }
  if (options.shadow === true && options.events === true) {
    throw new UsageError(
      'invalid_argument',
      'shadow, events: expected at most one of them, since in shadow mode no event is sent',
    );
  }
  return {
    server: absolute('server', server, base).href.replace(/\/+$/, ''),
    key: key ?? null,
    device,
    model: model ?? null,
    budget: budget === undefined ? null : { ...budget },
    timeoutMs: timeoutMs ?? null,
    wasmUrl: wasmUrl === undefined ? null : folder(absolute('wasmUrl', wasmUrl, base)),
    consent: options.consent === true,
    shadow: options.shadow === true,
    pageFetch: options.fetch !== undefined,
    offline: false,
    lock: null,
  };
}

/** Applies exclusions, filter, rules and length to a fused list, in this order. */
export function select(items: readonly RankedItem[], options: RecommendOptions): RankedItem[] {
  const { k, exclude, filter, rules = [] } = options;
  if (k !== undefined && !(Number.isInteger(k) && k > 0)) {
    throw argument('k', 'a positive whole number', k);
  }
  const excluded = new Set(exclude);
  const kept = items.filter(
    (item) => !excluded.has(item.item) && (filter === undefined || filter(item)),
  );
  const ruled = applyRules(kept, rules);
  return k === undefined ? ruled : ruled.slice(0, k);
}

/** The id of an item, or an error that names the argument. */
export function itemId(name: string, item: unknown): string {
  if (typeof item !== 'string' || item === '') throw argument(name, 'the id of an item', item);
  return item;
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
