import { toWire, type WireError } from '../shared/errors.js';
import type { OpenSettings } from '../shared/messages.js';
import type { Device, DeviceTrial, Update } from '../shared/update.js';
import { FileCache } from './cache.js';
import { beginTrial, endTrial, findAdapter } from './choice.js';
import type { Client, EngineLoader } from './engine.js';
import { LedgerBook } from './ledger.js';
import { type Fetcher, Network } from './network.js';

/** Clicks before any is measured, while shaders are compiled and caches fill. */
export const WARM_UP_CLICKS = 2;
/** Clicks that are measured. */
export const TRIAL_CLICKS = 7;
/** A device that has not done with them by then is measured by what it did, in milliseconds. */
const PATIENCE_MS = 20_000;

/** Held while a tab measures: two at once would measure each other. */
const LOCK = 'tandem trial';

/**
 * Measures both devices on copies of a session, by turns, and keeps what was found. Only
 * what the cache holds is read: nothing is asked of the server. `null` if another tab is at
 * it. Rejects if the GPU turns out to be of no use; the attempt is counted then.
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
  if (adapter === undefined) throw wireError('no_adapter', 'the GPU is gone');
  await beginTrial(settings.server, adapter, cache);
  // One after the other: both may want the same files.
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
  list: Update['items'];
  /** Milliseconds of each click. */
  times: number[];
}

async function contestant(
  device: Device,
  load: EngineLoader,
  settings: OpenSettings,
  snapshot: Uint8Array,
): Promise<Contestant> {
  // What is loaded for the trial alone need not be kept.
  const cache = new FileCache(true, () => {}, true);
  const network = new Network(nowhere, cache, new LedgerBook(), null);
  const surroundings = { network, cache, onProgress: () => {} };
  const engine = await load({ ...settings, device, offline: true }, surroundings);
  if (engine.device !== device) {
    throw engine.fallback ?? wireError('no_adapter', 'there is no such device');
  }
  const { client } = engine;
  client.setOffline(true);
  const { items: list } = await client.restorePersonal(snapshot.slice());
  if (list.length === 0) throw wireError('not_ready', 'there is no list to click on');
  return { client, list, times: [] };
}

async function takeClick({ client, list, times }: Contestant, number: number): Promise<void> {
  const item = list[number % list.length]?.item ?? '';
  const start = performance.now();
  await client.track({ type: 'click', item });
  await client.learn();
  times.push(performance.now() - start);
}

/** The median of what was measured once it was warm, or of the warming up if that was all. */
function middle(times: number[]): number {
  const warm = times.length > WARM_UP_CLICKS ? times.slice(WARM_UP_CLICKS) : times;
  const sorted = [...warm].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.POSITIVE_INFINITY;
}

/** No request leaves the device for a trial. */
const nowhere: Fetcher = () =>
  Promise.reject(toWire(new Error('a trial reads what is on the device')));

function wireError(code: WireError['code'], message: string): WireError {
  return { code, message };
}
