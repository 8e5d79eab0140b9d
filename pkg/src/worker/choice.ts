import type { OpenSettings } from '../shared/messages.js';
import { VERSION } from '../shared/names.js';
import type { DeviceTrial } from '../shared/update.js';
import type { FileCache } from './cache.js';

/** Number of unfinished trials after which the CPU stays in use. */
const MAX_ATTEMPTS = 2;

/** The record of a trial: one per server, because models differ in size. */
interface TrialRecord {
  version: string;
  adapter: string;
  /** Trials begun: one that crashes its worker or the browser leaves only this. */
  attempts: number;
  trial: DeviceTrial | null;
}

/** A GPU. */
export interface Adapter {
  name: string;
  /** Emulated by the CPU: never faster. */
  software: boolean;
}

/** The GPU that the browser would use; `null` if there is none. */
export async function findAdapter(): Promise<Adapter | null> {
  const { gpu } = navigator as { gpu?: Gpu };
  const adapter = (await gpu?.requestAdapter()) ?? null;
  if (adapter === null) return null;
  const { vendor = '', architecture = '', device = '', description = '' } = adapter.info ?? {};
  const name = [vendor, architecture, device, description].filter((part) => part !== '').join(' ');
  // Older browsers have the flag on the adapter.
  const software = adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false;
  return { name: name === '' ? 'unnamed GPU' : name, software };
}

/** The measurement of this version of the package; it names its adapter. */
export async function lastTrial(
  { server }: OpenSettings,
  cache: FileCache,
): Promise<DeviceTrial | null> {
  return (await read(server, cache))?.trial ?? null;
}

/** Whether a trial is due: there is a GPU that was not measured. */
export async function trialDue(
  settings: OpenSettings | null,
  cache: FileCache | null,
): Promise<boolean> {
  // A trial that cannot be stored would be repeated at every visit.
  if (settings?.device !== 'auto' || cache?.takes !== true) return false;
  const adapter = await findAdapter();
  if (adapter === null || adapter.software) return false;
  const record = await read(settings.server, cache);
  if (record?.adapter !== adapter.name) return true;
  return record.trial === null && record.attempts < MAX_ATTEMPTS;
}

/** Records that a trial begins. */
export async function beginTrial(server: string, adapter: string, cache: FileCache): Promise<void> {
  const before = await read(server, cache);
  const attempts = before?.adapter === adapter ? before.attempts + 1 : 1;
  await write(server, cache, { version: VERSION, adapter, attempts, trial: null });
}

/** Records the result of a trial. */
export function endTrial(server: string, trial: DeviceTrial, cache: FileCache): Promise<void> {
  return write(server, cache, { version: VERSION, adapter: trial.adapter, attempts: 0, trial });
}

async function read(server: string, cache: FileCache): Promise<TrialRecord | null> {
  const record = (await (
    await cache.get(name(server))
  )
    ?.json()
    .catch(() => null)) as TrialRecord | null;
  return record?.version === VERSION ? record : null;
}

function write(server: string, cache: FileCache, record: TrialRecord): Promise<void> {
  return cache.put(name(server), Response.json(record));
}

const name = (server: string): string => `trial/${encodeURIComponent(server)}`;

/** The part of WebGPU's interface that is used; TypeScript's libraries lack it. */
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
