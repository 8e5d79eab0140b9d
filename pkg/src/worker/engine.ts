import { toWire, type WireError } from '../shared/errors.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Device, LearnReport, Progress, TrackedEvent, Update } from '../shared/update.js';

/**
 * The session inside WebAssembly. Not re-entrant: one call at a time, with one exception,
 * {@link requestCandidates}, which may be pending while others run.
 */
export interface Client {
  track(event: TrackedEvent): Promise<Update>;
  recommend(): Promise<Update>;
  /** Resolves also when the server fails: `connection` then says what is wrong. */
  requestCandidates(): Promise<Update>;
  /** One step for the oldest click that waits; `null` if none does. */
  learn(): Promise<LearnReport | null>;
  setOffline(offline: boolean): void;
  reset(): Promise<Update>;
  exportPersonal(): Uint8Array;
  importPersonal(bytes: Uint8Array): Promise<Update>;
  /** Aborts the request in flight, if there is one. */
  abort(): void;
}

interface ClientConfig {
  server: string;
  device: Device;
  timeoutMs?: number;
}

/** The JavaScript that `wasm-bindgen` writes beside each WebAssembly file. */
interface Glue {
  default(input: { module_or_path: Response }): Promise<unknown>;
  Client: { open(config: ClientConfig): Promise<Client> };
}

/** A session ready for use, and where it runs. */
export interface Engine {
  client: Client;
  device: Device;
  fallback: WireError | null;
}

/** How a session is opened; tests put their own here. */
export type EngineLoader = (
  settings: OpenSettings,
  onProgress: (progress: Progress) => void,
) => Promise<Engine>;

/**
 * Opens a session on the wanted device, or on the CPU if there is no usable GPU. Only the
 * WebAssembly file of the device that is tried is fetched.
 */
export const loadEngine: EngineLoader = async (settings, onProgress) => {
  if (settings.device === 'cpu') return open('cpu', settings, onProgress, null);
  try {
    await requireAdapter();
    return await open('webgpu', settings, onProgress, null);
  } catch (error) {
    const fallback = toWire(error);
    // Both devices read the same artefacts: these would be damaged on the CPU, too.
    if (artifactFaults.has(fallback.code)) throw error;
    return open('cpu', settings, onProgress, fallback);
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
  onProgress: (progress: Progress) => void,
  fallback: WireError | null,
): Promise<Engine> {
  const glue = device === 'cpu' ? await importCpu() : await importWebGpu();
  const address = wasmAddress(device, settings.wasmUrl);
  const module_or_path = await download(address, onProgress);
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
  onProgress({ phase: 'model', loaded: 0, total: null });
  const client = await glue.Client.open({
    server: settings.server,
    device,
    ...(settings.timeoutMs === null ? {} : { timeoutMs: settings.timeoutMs }),
  });
  onProgress({ phase: 'ready', loaded: 0, total: null });
  return { client, device, fallback };
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

/** Fetches with progress; the body stays a stream, so that compiling starts at once. */
async function download(address: URL, onProgress: (progress: Progress) => void): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address);
  } catch (error) {
    throw wireError('unreachable', `fetching ${address.href} failed: ${toWire(error).message}`);
  }
  if (!response.ok || response.body === null) {
    throw wireError('not_found', `fetching ${address.href}: HTTP status ${response.status}`);
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

async function requireAdapter(): Promise<void> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<object | null> } };
  if (gpu === undefined) throw wireError('no_adapter', 'this browser has no WebGPU');
  if ((await gpu.requestAdapter()) === null) {
    throw wireError('no_adapter', 'WebGPU is there, but no adapter');
  }
}

function wireError(code: WireError['code'], message: string): WireError {
  return { code, message };
}
