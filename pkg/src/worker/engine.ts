import { toWire, type WireError, wireError } from '../shared/errors.js';
import type {
  ClientUpdate,
  Deeper,
  Explanation,
  Fetched,
  HistoryChange,
  LearnReport,
  OpenConfig,
  SimilarItem,
  TrackedEvent,
  Undone,
} from '../shared/generated.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Device, DeviceTrial, Progress } from '../shared/update.js';
import type { FileCache } from './cache.js';
import { findAdapter, lastTrial } from './choice.js';
import type { Network } from './network.js';

/**
 * The session inside WebAssembly. Not re-entrant: one call at a time. Only
 * {@link requestCandidates}, {@link fetchMissing}, {@link fetchFurther} and {@link request} may be
 * pending while others run.
 */
export interface Client {
  track(event: TrackedEvent): Promise<ClientUpdate>;
  /** Takes earlier events, and ranks once. */
  replay(events: TrackedEvent[]): Promise<ClientUpdate>;
  undo(): Promise<Undone>;
  recommend(): Promise<ClientUpdate>;
  /** A longer ranking, with the best `k` items of the search. */
  rankDeeper(k: number): Promise<Deeper>;
  /** Items that can be recommended; absent: all. */
  setAvailable(items?: string[]): Promise<ClientUpdate>;
  setExcluded(items: string[], send: boolean): Promise<ClientUpdate>;
  /** Fetches the cells that the search wants next, and the rows of clicked items. */
  fetchMissing(): Promise<Fetched>;
  fetchFurther(): Promise<Fetched>;
  explain(item: string): Promise<Explanation | null>;
  similar(item: string, k: number): Promise<SimilarItem[] | null>;
  compare(items: string[]): Promise<number | null>;
  chooseModel(name?: string): Promise<null>;
  /**
   * Also resolves if the server fails: `connection` then has the cause. `why` is the purpose
   * for the ledger.
   */
  requestCandidates(why: string): Promise<ClientUpdate>;
  /** Another request to the server (`GET` without a body); resolves with the response's text. */
  request(path: string, body: string | undefined, why: string): Promise<string>;
  /** What changed in the history since the last call of this method. */
  historyChange(): HistoryChange;
  /** One step for the oldest pending click; `null` if there is none. */
  learn(): Promise<LearnReport | null>;
  setOffline(offline: boolean): void;
  reset(): Promise<ClientUpdate>;
  exportPersonal(): Uint8Array;
  importPersonal(bytes: Uint8Array): Promise<ClientUpdate>;
  /** Like an import; from a session of another model only history and dislikes are taken. */
  restorePersonal(bytes: Uint8Array): Promise<ClientUpdate>;
  /** Aborts the request in flight, if there is one. */
  abort(): void;
  /** Frees its memory; it must not be called afterwards. */
  free(): void;
}

/** The JavaScript that `wasm-bindgen` generates for each WebAssembly file. */
export interface WasmModule {
  default(input: { module_or_path: Response }): Promise<unknown>;
  Client: { open(config: OpenConfig, network: Network): Promise<Client> };
}

/** An open session, and its device. */
export interface Engine {
  client: Client;
  device: Device;
  fallback: WireError | null;
  /** The measurement behind the choice of device, if there is one. */
  trial: DeviceTrial | null;
  /** Opens another client on the same device, after a change of the catalogue. */
  reopen(): Promise<Client>;
  /** Fetches all files again, for a cache that may store them from now on. */
  keepFiles(): Promise<void>;
}

/** What an engine needs from the worker. */
export interface Surroundings {
  network: Network;
  cache: FileCache;
  onProgress(progress: Progress): void;
}

/** Opens a session; tests use their own. */
export type EngineLoader = (settings: OpenSettings, surroundings: Surroundings) => Promise<Engine>;

/**
 * Opens a session on the requested device, or on the CPU if there is no usable GPU. Only the
 * WebAssembly file of that device is fetched.
 */
export const loadEngine: EngineLoader = async (settings, surroundings) => {
  const trial = settings.device === 'auto' ? await lastTrial(settings, surroundings.cache) : null;
  const device = settings.device === 'auto' ? (trial?.device ?? 'cpu') : settings.device;
  if (device === 'cpu') return open('cpu', settings, surroundings, { fallback: null, trial });
  try {
    await requireAdapter(trial);
    return await open('webgpu', settings, surroundings, { fallback: null, trial });
  } catch (error) {
    const fallback = toWire(error);
    // Both devices load the same artefacts: the CPU would fail as well.
    if (artifactFaults.has(fallback.code)) throw error;
    return open('cpu', settings, surroundings, { fallback, trial });
  }
};

const artifactFaults: ReadonlySet<string> = new Set([
  'integrity',
  'invalid_artifact',
  'unsupported_version',
]);

async function open(
  device: Device,
  settings: OpenSettings,
  { network, cache, onProgress }: Surroundings,
  choice: Pick<Engine, 'fallback' | 'trial'>,
): Promise<Engine> {
  // Bundlers follow these two imports and the addresses in `wasmAddress` only as literals.
  const module: WasmModule =
    device === 'cpu'
      ? await import('../../wasm/cpu/tandem.js')
      : await import('../../wasm/webgpu/tandem.js');
  const address = wasmAddress(device, settings.wasmUrl);
  const module_or_path = await download(address, cache, onProgress);
  try {
    await module.default({ module_or_path });
  } catch (error) {
    // The browsers' own messages name `unsafe-eval`, which allows more than is needed.
    throw wireError(
      'unsupported',
      `${address.href} could not be compiled: check that it is this package’s file, and that the ` +
        `page’s Content-Security-Policy has 'wasm-unsafe-eval' in script-src ` +
        `(${toWire(error).message})`,
    );
  }
  const { server, timeoutMs, budget, search, searchMemory, counts, repeats } = settings;
  const config: OpenConfig = {
    server,
    device,
    search,
    ...(repeats === null ? {} : { repeats }),
    ...(counts === null ? {} : { counts }),
    ...(searchMemory === null ? {} : { searchMemory }),
    ...(timeoutMs === null ? {} : { timeoutMs }),
    ...(budget === null ? {} : { budget }),
  };
  const reopen = (): Promise<Client> => module.Client.open(config, network);
  const keepFiles = async (): Promise<void> => {
    await download(address, cache, () => {});
    // Opened only to fetch its files.
    (await reopen()).free();
  };
  onProgress({ phase: 'model', loaded: 0, total: null });
  const client = await reopen();
  // Not awaited: the session does not depend on it.
  void cache.prune();
  onProgress({ phase: 'ready', loaded: 0, total: null });
  return { client, device, ...choice, reopen, keepFiles };
}

function wasmAddress(device: Device, folder: string | null): URL {
  if (folder !== null) return new URL(`${device}/tandem_bg.wasm`, folder);
  return device === 'cpu'
    ? new URL('../../wasm/cpu/tandem_bg.wasm', import.meta.url)
    : new URL('../../wasm/webgpu/tandem_bg.wasm', import.meta.url);
}

/**
 * Fetches a file and reports progress. The body stays a stream, so that compilation starts at
 * once. The network comes first, because a newer package may be at the same address; without
 * a usable response the cached copy is used.
 */
async function download(
  address: URL,
  cache: FileCache,
  onProgress: (progress: Progress) => void,
): Promise<Response> {
  const name = `wasm/${encodeURIComponent(address.href)}`;
  const fetched: Response | WireError = await fetch(address).catch((error: unknown) =>
    wireError('unreachable', `${address.href} could not be fetched: ${toWire(error).message}`),
  );
  if ('code' in fetched || !fetched.ok || fetched.body === null) {
    const cached = await cache.get(name);
    if (cached !== null) return cached;
    if ('code' in fetched) throw fetched;
    const { status } = fetched;
    throw wireError('not_found', `${address.href} could not be fetched: HTTP status ${status}`);
  }
  if (cache.takes) {
    const copy = new Response(fetched.clone().body, {
      headers: { 'content-type': 'application/wasm' },
    });
    // Not awaited: it is read together with the original.
    void cache.put(name, copy);
  }
  // The length of a compressed response is not that of its content.
  const length = fetched.headers.has('content-encoding')
    ? null
    : fetched.headers.get('content-length');
  const total = length === null ? null : Number(length);
  let loaded = 0;
  onProgress({ phase: 'runtime', loaded, total });
  const counted = fetched.body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        loaded += chunk.byteLength;
        onProgress({ phase: 'runtime', loaded, total });
        controller.enqueue(chunk);
      },
    }),
  );
  return new Response(counted, { headers: { 'content-type': 'application/wasm' } });
}

/** Requires a GPU and, after a measurement, the same GPU. */
async function requireAdapter(trial: DeviceTrial | null): Promise<void> {
  const { gpu } = navigator as { gpu?: unknown };
  if (gpu === undefined) throw wireError('no_adapter', 'this browser has no WebGPU');
  const adapter = await findAdapter();
  if (adapter === null) throw wireError('no_adapter', 'this browser has WebGPU, but no adapter');
  if (trial !== null && trial.adapter !== adapter.name) {
    throw wireError(
      'no_adapter',
      `expected the measured GPU ${trial.adapter}, found ${adapter.name}`,
    );
  }
}
