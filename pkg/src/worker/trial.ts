import { wireError } from '../shared/errors.js';
import type { RankedItem } from '../shared/generated.js';
import { Ledger } from '../shared/ledger.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Device, DeviceTrial } from '../shared/update.js';
import { FileCache } from './cache.js';
import { beginTrial, endTrial, findAdapter } from './choice.js';
import type { Client, EngineLoader } from './engine.js';
import { type Fetcher, Network } from './network.js';

/** Clicks before the measurement, while shaders are compiled and caches fill. */
export const WARM_UP_CLICKS = 2;
/** Clicks of the measurement. */
export const TRIAL_CLICKS = 7;
/** Time limit of the measurement in milliseconds; after it, the clicks so far count. */
const PATIENCE_MS = 20_000;

/** Held while a tab measures: two measurements at once would disturb each other. */
const LOCK = 'tandem trial';

/**
 * Measures both devices alternately on copies of a session, and records the result. Only the
 * cache is read; there are no requests. `null` if another tab is measuring. Rejects if the GPU
 * cannot be used; the attempt counts then.
 */
export function tryDevices(
  load: EngineLoader,
  settings: OpenSettings,
  snapshot: Uint8Array,
): Promise<DeviceTrial | null> {
  return navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) =>
    lock === null ? null : measure(load, settings, snapshot),
  );
}

async function measure(
  load: EngineLoader,
  settings: OpenSettings,
  snapshot: Uint8Array,
): Promise<DeviceTrial> {
  const cache = new FileCache(true, () => {});
  const adapter = (await findAdapter())?.name;
  if (adapter === undefined) throw wireError('no_adapter', 'the GPU is not available any more');
  await beginTrial(settings.server, adapter, cache);
  // One after the other, because both may load the same files.
  const cpu = await contestant('cpu', load, settings, snapshot);
  const webgpu = await contestant('webgpu', load, settings, snapshot);
  const end = performance.now() + PATIENCE_MS;
  for (let click = 0; click < WARM_UP_CLICKS + TRIAL_CLICKS; click += 1) {
    if (performance.now() > end) break;
    await takeClick(cpu, click);
    await takeClick(webgpu, click);
  }
  const [cpuMs, webgpuMs] = [middle(cpu.times), middle(webgpu.times)];
  const device = webgpuMs < cpuMs ? 'webgpu' : 'cpu';
  const trial: DeviceTrial = { adapter, device, cpuMs, webgpuMs };
  await endTrial(settings.server, trial, cache);
  return trial;
}

interface Contestant {
  client: Client;
  list: RankedItem[];
  /** Milliseconds of each click. */
  times: number[];
}

async function contestant(
  device: Device,
  load: EngineLoader,
  settings: OpenSettings,
  snapshot: Uint8Array,
): Promise<Contestant> {
  // Files that only the trial loads are not stored.
  const cache = new FileCache(true, () => {}, true);
  const network = new Network(noNetwork, cache, new Ledger(), null);
  const surroundings = { network, cache, onProgress: () => {} };
  const engine = await load({ ...settings, device, offline: true }, surroundings);
  if (engine.device !== device) {
    throw engine.fallback ?? wireError('no_adapter', `this browser has no device '${device}'`);
  }
  const { client } = engine;
  client.setOffline(true);
  const { items: list } = await client.restorePersonal(snapshot.slice());
  if (list.length === 0)
    throw wireError('not_ready', 'the session has no candidate list to measure with');
  return { client, list, times: [] };
}

async function takeClick({ client, list, times }: Contestant, number: number): Promise<void> {
  const item = list[number % list.length]?.item ?? '';
  const start = performance.now();
  await client.track({ type: 'click', item });
  await client.learn();
  times.push(performance.now() - start);
}

/** The median of the measured clicks, or of the warm-up if there were no others. */
function middle(times: number[]): number {
  const warm = times.length > WARM_UP_CLICKS ? times.slice(WARM_UP_CLICKS) : times;
  const sorted = [...warm].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.POSITIVE_INFINITY;
}

/** A trial makes no requests. */
const noNetwork: Fetcher = () => Promise.reject(new Error('a trial only reads the cache'));
