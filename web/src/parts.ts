/** What the running demo still prepares (`parts.json`, written by `cargo xtask demo`). */

export type PartState = 'waiting' | 'under-way' | 'ready' | 'failed';

export interface Part {
  part: string;
  state: PartState;
}

const NAMES: Record<string, string> = {
  'own-data': 'the page for your own data',
  documentation: 'the documentation',
  'second-shop': 'the second shop',
  training: 'longer trained models',
  webgpu: 'the WebGPU module',
};

/** Time between two requests, in milliseconds. */
const POLL_MS = 10_000;

/** The parts of a file; entries that this page does not know are left out. */
export function readParts(json: unknown): Part[] {
  if (!Array.isArray(json)) return [];
  return json.filter(
    (entry: unknown): entry is Part =>
      typeof entry === 'object' &&
      entry !== null &&
      'part' in entry &&
      typeof entry.part === 'string' &&
      entry.part in NAMES &&
      'state' in entry &&
      ['waiting', 'under-way', 'ready', 'failed'].includes(String(entry.state)),
  );
}

/** What the page says about the parts, given those that were ready when it was opened. */
export function partsText(
  parts: readonly Part[],
  atOpening: readonly Part[],
): { text: string; reload: boolean } {
  const named = (wanted: readonly PartState[]): string[] =>
    parts.filter(({ state }) => wanted.includes(state)).map(({ part }) => NAMES[part] ?? part);
  const before = new Set(
    atOpening.filter(({ state }) => state === 'ready').map(({ part }) => NAMES[part] ?? part),
  );
  const fresh = named(['ready']).filter((name) => !before.has(name));
  const pending = named(['under-way', 'waiting']);
  const failed = named(['failed']);
  const sentences = [
    fresh.length === 0 ? '' : `New since you opened this page: ${listed(fresh)}.`,
    pending.length === 0 ? '' : `Still being prepared: ${listed(pending)}.`,
    failed.length === 0 ? '' : `Not available: ${listed(failed)}; the terminal says why.`,
  ];
  return { text: sentences.filter((text) => text !== '').join(' '), reload: fresh.length > 0 };
}

function listed(names: readonly string[]): string {
  return names.length < 2
    ? (names[0] ?? '')
    : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** Reads the file now and then, until nothing is being prepared; stops when it cannot be read. */
export async function followParts(
  address: string,
  show: (parts: readonly Part[]) => void,
  send: typeof fetch = (...request) => fetch(...request),
  pause: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
): Promise<void> {
  for (;;) {
    const response = await send(address, { cache: 'no-store' }).catch(() => null);
    // While the server restarts with other models, it does not answer.
    if (response?.ok === true) {
      const parts = readParts(await response.json().catch(() => null));
      show(parts);
      if (!parts.some(({ state }) => state === 'waiting' || state === 'under-way')) return;
    } else if (response !== null) {
      return;
    }
    await pause(POLL_MS);
  }
}
