import { UsageError } from '../shared/errors.js';
import type { Budget, SearchMode } from '../shared/generated.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Progress } from '../shared/update.js';
import { argument, flag, warnOfUnknown } from './check.js';
import type { PersonalStorage } from './storage.js';
import type { TrustedAddress } from './worker-script.js';

/** Time limit of a request in milliseconds, if the options have none. */
export const DEFAULT_TIMEOUT_MS = 20_000;

/** Largest memory for cells in bytes: what WebAssembly can address. */
const MAX_SEARCH_MEMORY = 2 ** 32 - 1;

/** Options of {@link createRecommender}; only `server` is required. */
export interface RecommenderOptions {
  /** Address of the cloud server, absolute or relative to the page. */
  server: string;
  /** Sent to the server as `Authorization: Bearer …`, for a gateway in front of it. */
  key?: string;
  /**
   * The device of the small model. `auto`, the default, starts on the CPU. With consent and a
   * hardware GPU, it measures both devices once, beside the session, and later visits use the
   * faster one ({@link RecommenderState.deviceTrial}). `webgpu` falls back to the CPU if there
   * is no GPU; `state().device` is the device in use.
   */
  device?: 'auto' | 'webgpu' | 'cpu';
  /**
   * The language model for the lists, one of {@link Recommender.models}. If the server does not
   * have it, there is an `error` event and no list.
   */
  model?: string;
  /**
   * Whether the visitor agreed that session, personal delta and the model's files are stored
   * on this device. Without consent, the default, nothing outlives the page; see
   * {@link Recommender.setConsent}.
   */
  consent?: boolean;
  /** Storage for the session with consent; IndexedDB if absent. */
  storage?: PersonalStorage;
  /**
   * Whether events are sent to the server's log (`cloud-server --events`). They are queued
   * while the server cannot be reached. After the visitor withdrew the consent
   * ({@link Recommender.setConsent}), queued events are deleted and no more are sent, on this
   * page and on later ones, until there is a new consent.
   */
  events?: boolean;
  /**
   * The site's own pseudonymous id of the visitor, under which events are logged: 1 to 64
   * letters, digits, `-` or `_`. Without it, events are logged under a random name of the visit
   * and, with consent, of the visitor. It links the events of all devices and visits; never
   * pass a name, an e-mail address or an account number.
   */
  userId?: string;
  /**
   * Separates the sessions of several people on one browser. Each profile has a session, a
   * queue of events and a name of its own: 1 to 64 letters, digits, `-` or `_`. It stays on the
   * device. The model's files are shared.
   */
  profile?: string;
  /**
   * Measures without recommending: no lists are requested, and only the number of
   * {@link Recommender.compare} is sent to the server.
   */
  shadow?: boolean;
  /** Limit of requests for lists, in place of the manifest's. */
  budget?: Budget;
  /**
   * How the device searches the catalogue beside the candidate list. `auto`, the default: as the
   * manifest says; `whole`: the whole item table; `cells`: the cells near the visitor's state;
   * `off`: only the list is ranked. With `off`, a release with cells loads neither item table,
   * titles nor counts: rows come with the lists.
   */
  search?: SearchMode;
  /** Memory for cells of the item table, in bytes (8 MB), from 1 to 4,294,967,295. */
  searchMemory?: number;
  /**
   * Whether co-occurrence counts take part in the ranking, if the release has any (`true`). In
   * catalogues in cells, the device asks the server what others chose near each clicked item.
   */
  counts?: boolean;
  /**
   * Whether items of the history may be recommended again, for repeated purchases (as the manifest
   * says).
   */
  repeats?: boolean;
  /** Time limit of a request to the server, in milliseconds (20,000). */
  timeoutMs?: number;
  /** Aborts opening, or disposes of the recommender later. */
  signal?: AbortSignal;
  /** Called while files are loaded. */
  onProgress?: (progress: Progress) => void;
  /** Makes the requests to the server on the page, in place of the worker's own `fetch`. */
  fetch?: typeof fetch;
  /**
   * Address of the package's worker, if the bundler does not find it or the page enforces
   * Trusted Types; a `TrustedScriptURL` is used as it is.
   */
  workerUrl?: string | URL | TrustedAddress;
  /** Address of the folder with `cpu/tandem_bg.wasm` and `webgpu/tandem_bg.wasm`. */
  wasmUrl?: string | URL;
}

/** The names of all options. The compiler refuses this list if one is missing. */
const KNOWN = Object.keys({
  server: 0,
  key: 0,
  device: 0,
  model: 0,
  consent: 0,
  storage: 0,
  events: 0,
  userId: 0,
  profile: 0,
  shadow: 0,
  budget: 0,
  search: 0,
  searchMemory: 0,
  counts: 0,
  repeats: 0,
  timeoutMs: 0,
  signal: 0,
  onProgress: 0,
  fetch: 0,
  workerUrl: 0,
  wasmUrl: 0,
} satisfies Record<keyof RecommenderOptions, 0>);

/** Checks the options and makes addresses absolute: the base of a worker is not the page. */
export function openSettings(options: RecommenderOptions, base: string): OpenSettings {
  if (typeof options !== 'object' || options === null) {
    const expected = "an object with the option server, such as { server: './' }";
    throw argument('options', expected, options);
  }
  warnOfUnknown('createRecommender', options, KNOWN);
  const { server, key, device = 'auto', model, budget, timeoutMs, wasmUrl } = options;
  const { search = 'auto', searchMemory } = options;
  // An empty address is that of the page; more often, a setting is missing.
  if (typeof server !== 'string' || server === '') {
    throw argument('server', "an address, such as './' for the folder of the page", server);
  }
  if (device !== 'auto' && device !== 'webgpu' && device !== 'cpu') {
    throw argument('device', "'auto', 'webgpu' or 'cpu'", device);
  }
  for (const [name, value] of Object.entries({ key, model })) {
    if (value !== undefined && (typeof value !== 'string' || value === '')) {
      throw argument(name, 'a non-empty string', value);
    }
  }
  for (const name of ['userId', 'profile'] as const) {
    const value = options[name];
    if (value !== undefined && !(typeof value === 'string' && /^[\w-]{1,64}$/.test(value))) {
      throw argument(name, '1 to 64 letters, digits, - or _', value);
    }
  }
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw argument('timeoutMs', 'a positive number of milliseconds', timeoutMs);
  }
  for (const name of ['consent', 'events', 'shadow', 'repeats', 'counts'] as const) {
    if (options[name] !== undefined) flag(name, options[name]);
  }
  for (const name of ['fetch', 'onProgress'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw argument(name, 'a function', options[name]);
    }
  }
  // Not `instanceof`: it may come from another frame.
  if (options.signal !== undefined && typeof options.signal?.addEventListener !== 'function') {
    throw argument('signal', 'an AbortSignal', options.signal);
  }
  if (budget !== undefined) {
    const { burst, perMinute } = budget ?? {};
    warnOfUnknown('createRecommender', budget ?? {}, ['burst', 'perMinute'], { path: 'budget.' });
    if (!(Number.isInteger(burst) && burst >= 1)) {
      throw argument('budget.burst', 'an integer from 1', burst);
    }
    if (!(Number.isFinite(perMinute) && perMinute >= 0)) {
      throw argument('budget.perMinute', 'a number from 0', perMinute);
    }
  }
  if (search !== 'auto' && search !== 'whole' && search !== 'cells' && search !== 'off') {
    throw argument('search', "'auto', 'whole', 'cells' or 'off'", search);
  }
  if (
    searchMemory !== undefined &&
    !(Number.isInteger(searchMemory) && searchMemory >= 1 && searchMemory <= MAX_SEARCH_MEMORY)
  ) {
    const expected = `an integer number of bytes from 1 to ${MAX_SEARCH_MEMORY}`;
    throw argument('searchMemory', expected, searchMemory);
  }
  if (options.shadow === true && options.events === true) {
    throw new UsageError(
      'invalid_argument',
      'shadow, events: expected at most one of them, because shadow mode sends no events',
    );
  }
  return {
    server: absolute('server', server, base).href.replace(/\/+$/, ''),
    key: key ?? null,
    device,
    model: model ?? null,
    budget: budget === undefined ? null : { ...budget },
    search,
    searchMemory: searchMemory ?? null,
    counts: options.counts ?? null,
    repeats: options.repeats ?? null,
    available: null,
    excluded: { items: [], send: false },
    timeoutMs: timeoutMs ?? null,
    wasmUrl: wasmUrl === undefined ? null : folder(absolute('wasmUrl', wasmUrl, base)),
    consent: options.consent === true,
    shadow: options.shadow === true,
    pageFetch: options.fetch !== undefined,
    offline: false,
    lock: null,
  };
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
