import type { OpenSettings } from '../shared/messages.js';
import { VERSION } from '../shared/names.js';
import type { DeviceTrial } from '../shared/update.js';
import type { FileCache } from './cache.js';

/** Trials that ended without a word, after which the CPU is kept. */
const MAX_ATTEMPTS = 2;

/** What is kept of a trial; one for each server, since models differ in size. */
interface Kept {
  version: string;
  adapter: string;
  /** Trials begun: one that takes its worker or the whole browser down leaves only this. */
  attempts: number;
  trial: DeviceTrial | null;
}

/** A GPU. */
export interface Adapter {
  name: string;
  /** The processor pretends to be one: never the faster. */
  software: boolean;
}

/** The GPU that the browser would compute on; `null` if there is none. */
export async function findAdapter(): Promise<Adapter | null> {
  const { gpu } = navigator as { gpu?: Gpu };
  const adapter = (await gpu?.requestAdapter()) ?? null;
  if (adapter === null) return null;
  const { vendor = '', architecture = '', device = '', description = '' } = adapter.info ?? {};
  const name = [vendor, architecture, device, description].filter((part) => part !== '').join(' ');
  // Where the second stands depends on the browser's age.
  const software = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  return { name: name === '' ? 'a GPU without a name' : name, software };
}

/** What this version measured; of which adapter, the trial says. */
export async function lastTrial(
  { server }: OpenSettings,
  cache: FileCache,
): Promise<DeviceTrial | null> {
  return (await read(server, cache))?.trial ?? null;
}

/** Whether a trial is to be made: there is a GPU, and it has had none. */
export async function trialDue(
  settings: OpenSettings | null,
  cache: FileCache | null,
): Promise<boolean> {
  // A trial that cannot be remembered would be made at every visit.
  if (settings?.device !== 'auto' || cache?.takes !== true) return false;
  const adapter = await findAdapter();
  if (adapter === null || adapter.software) return false;
  const kept = await read(settings.server, cache);
  if (kept?.adapter !== adapter.name) return true;
  return kept.trial === null && kept.attempts < MAX_ATTEMPTS;
}

/** Notes that a trial begins. */
export async function beginTrial(server: string, adapter: string, cache: FileCache): Promise<void> {
  const before = await read(server, cache);
  const attempts = before?.adapter === adapter ? before.attempts + 1 : 1;
  await write(server, cache, { version: VERSION, adapter, attempts, trial: null });
}

/** Notes what came of it. */
export function endTrial(server: string, trial: DeviceTrial, cache: FileCache): Promise<void> {
  return write(server, cache, { version: VERSION, adapter: trial.adapter, attempts: 0, trial });
}

async function read(server: string, cache: FileCache): Promise<Kept | null> {
  const kept = (await (await cache.get(name(server)))?.json().catch(() => null)) as Kept | null;
  return kept?.version === VERSION ? kept : null;
}

function write(server: string, cache: FileCache, kept: Kept): Promise<void> {
  return cache.put(name(server), Response.json(kept));
}

const name = (server: string): string => `trial/${encodeURIComponent(server)}`;

/** The part of WebGPU's interface that is used. */
interface Gpu {
  requestAdapter(): Promise<{
    info?: {
      vendor?: string;
      architecture?: string;
      device?: string;
      description?: string;
      isFallbackAdapter?: boolean;
    };
    isFallbackAdapter?: boolean;
  } | null>;
}
