import { toWire, type WireError } from '../shared/errors.js';
import type { OpenSettings } from '../shared/messages.js';
import type {
  Device,
  DeviceTrial,
  Explanation,
  LearnReport,
  Progress,
  SimilarItem,
  TrackedEvent,
  Update,
} from '../shared/update.js';
import type { FileCache } from './cache.js';
import { findAdapter, lastTrial } from './choice.js';
import type { Network } from './network.js';

/**
 * The session inside WebAssembly. Not re-entrant: one call at a time, with one exception,
 * {@link requestCandidates}, which may be pending while others run.
 */
export interface Client {
  track(event: TrackedEvent): Promise<Update>;
  /** Takes events that happened before, and ranks once. */
  replay(events: TrackedEvent[]): Promise<Update>;
  undo(): Promise<{ event: TrackedEvent | null; update: Update }>;
  recommend(): Promise<Update>;
  explain(item: string): Promise<Explanation | null>;
  similar(item: string, k: number): Promise<SimilarItem[] | null>;
  compare(items: string[]): Promise<number | null>;
  chooseModel(name?: string): Promise<null>;
  /**
   * Resolves also when the server fails: `connection` then says what is wrong. `why` is for
   * the ledger.
   */
  requestCandidates(why: string): Promise<Update>;
  /** One step for the oldest click that waits; `null` if none does. */
  learn(): Promise<LearnReport | null>;
  setOffline(offline: boolean): void;
  reset(): Promise<Update>;
  exportPersonal(): Uint8Array;
  importPersonal(bytes: Uint8Array): Promise<Update>;
  /** As an import; of a session of another model, history and dislikes are kept. */
  restorePersonal(bytes: Uint8Array): Promise<Update>;
  /** Aborts the request in flight, if there is one. */
  abort(): void;
  /** Gives back its memory; it must not be called afterwards. */
  free(): void;
}

interface ClientConfig {
  server: string;
  device: Device;
  timeoutMs?: number;
  budget?: { burst: number; perMinute: number };
}

/** The JavaScript that `wasm-bindgen` writes beside each WebAssembly file. */
interface Glue {
  default(input: { module_or_path: Response }): Promise<unknown>;
  Client: { open(config: ClientConfig, network: Network): Promise<Client> };
}

/** A session ready for use, and where it runs. */
export interface Engine {
  client: Client;
  device: Device;
  fallback: WireError | null;
  /** What the choice of device rests on, if it was measured. */
  trial: DeviceTrial | null;
  /** Opens another one on the same device: the server's catalogue has changed. */
  reopen(): Promise<Client>;
  /** Fetches all files again, for a cache that may keep them from now on. */
  keepFiles(): Promise<void>;
}

/** What an engine needs from the worker around it. */
export interface Surroundings {
  network: Network;
  cache: FileCache;
  onProgress(progress: Progress): void;
}

/** How a session is opened; tests put their own here. */
export type EngineLoader = (settings: OpenSettings, surroundings: Surroundings) => Promise<Engine>;

/**
 * Opens a session on the wanted device, or on the CPU if there is no usable GPU. Only the
 * WebAssembly file of the device that is tried is fetched.
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
    // Both devices read the same artefacts: these would be damaged on the CPU, too.
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
  const glue = device === 'cpu' ? await importCpu() : await importWebGpu();
  const address = wasmAddress(device, settings.wasmUrl);
  const module_or_path = await download(address, cache, onProgress);
  try {
    await glue.default({ module_or_path });
  } catch (error) {
    // What browsers say of a policy names `unsafe-eval`, which allows far more than is needed.
    throw wireError(
      'unsupported',
      `${address.href} could not be compiled: check that it is this package’s file, and that the ` +
        `page’s Content-Security-Policy has 'wasm-unsafe-eval' in script-src ` +
        `(${toWire(error).message})`,
    );
  }
  const { server, timeoutMs, budget } = settings;
  const config: ClientConfig = {
    server,
    device,
    ...(timeoutMs === null ? {} : { timeoutMs }),
    ...(budget === null ? {} : { budget }),
  };
  const reopen = (): Promise<Client> => glue.Client.open(config, network);
  const keepFiles = async (): Promise<void> => {
    await download(address, cache, () => {});
    // Opened once more, only for what it fetches.
    (await reopen()).free();
  };
  onProgress({ phase: 'model', loaded: 0, total: null });
  const client = await reopen();
  await cache.prune();
  onProgress({ phase: 'ready', loaded: 0, total: null });
  return { client, device, ...choice, reopen, keepFiles };
}

// Bundlers follow these two imports and the two addresses below only as they are written.
async function importCpu(): Promise<Glue> {
  // biome-ignore lint/suspicious/noTsIgnore: an expected error would be none once it is built
  // @ts-ignore: the module is generated and may be absent while types are checked
  return (await import('../../wasm/cpu/tandem.js')) as unknown as Glue;
}

async function importWebGpu(): Promise<Glue> {
  // biome-ignore lint/suspicious/noTsIgnore: an expected error would be none once it is built
  // @ts-ignore: the module is generated and may be absent while types are checked
  return (await import('../../wasm/webgpu/tandem.js')) as unknown as Glue;
}

function wasmAddress(device: Device, folder: string | null): URL {
  if (folder !== null) return new URL(`${device}/tandem_bg.wasm`, folder);
  return device === 'cpu'
    ? new URL('../../wasm/cpu/tandem_bg.wasm', import.meta.url)
    : new URL('../../wasm/webgpu/tandem_bg.wasm', import.meta.url);
}

/**
 * Fetches with progress; the body stays a stream, so that compiling starts at once. The
 * network comes first and the cache stands in: a newer package may lie at the same address.
 */
async function download(
  address: URL,
  cache: FileCache,
  onProgress: (progress: Progress) => void,
): Promise<Response> {
  const name = `wasm/${encodeURIComponent(address.href)}`;
  let response: Response;
  try {
    response = await fetch(address);
  } catch (error) {
    const kept = await cache.get(name);
    if (kept !== null) return kept;
    throw wireError('unreachable', `fetching ${address.href} failed: ${toWire(error).message}`);
  }
  if (!response.ok || response.body === null) {
    throw wireError('not_found', `fetching ${address.href}: HTTP status ${response.status}`);
  }
  if (cache.takes) {
    const copy = new Response(response.clone().body, {
      headers: { 'content-type': 'application/wasm' },
    });
    // Not waited for: it is read as the original is.
    void cache.put(name, copy);
  }
  // The length of a compressed answer is not that of its content.
  const length = response.headers.has('content-encoding')
    ? null
    : response.headers.get('content-length');
  const total = length === null ? null : Number(length);
  let loaded = 0;
  onProgress({ phase: 'runtime', loaded, total });
  const counted = response.body.pipeThrough(
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

/** There must be a GPU; where one was measured, the same. */
async function requireAdapter(trial: DeviceTrial | null): Promise<void> {
  const { gpu } = navigator as { gpu?: unknown };
  if (gpu === undefined) throw wireError('no_adapter', 'this browser has no WebGPU');
  const adapter = await findAdapter();
  if (adapter === null) throw wireError('no_adapter', 'WebGPU is there, but no adapter');
  if (trial !== null && trial.adapter !== adapter.name) {
    throw wireError(
      'no_adapter',
      `${trial.adapter} was measured, and now there is ${adapter.name}`,
    );
  }
}

function wireError(code: WireError['code'], message: string): WireError {
  return { code, message };
}
