/**
 * What an environment lacks: `worker` (none in Node and on a server), `module_worker`,
 * `webassembly` or `webassembly_simd`.
 */
export type MissingFeature = 'worker' | 'module_worker' | 'webassembly' | 'webassembly_simd';

/**
 * The first feature that this environment lacks, or `null`. Starts no worker, sends no request and
 * causes no report of a Content-Security-Policy.
 */
export function missingFeature(): MissingFeature | null {
  if (typeof Worker !== 'function') return 'worker';
  if (!hasModuleWorkers()) return 'module_worker';
  if (typeof WebAssembly !== 'object') return 'webassembly';
  return WebAssembly.validate(simdProbe) ? null : 'webassembly_simd';
}

/** What to tell a developer about a missing feature. */
export const FEATURE_NAMES: Record<MissingFeature, string> = {
  worker: 'workers',
  module_worker: 'module workers',
  webassembly: 'WebAssembly',
  webassembly_simd: 'SIMD in WebAssembly',
};

/**
 * A browser with module workers reads the option `type` before it finds that the address is
 * invalid. Browsers with Trusted Types have module workers, and would report this address.
 */
function hasModuleWorkers(): boolean {
  if ('trustedTypes' in globalThis) return true;
  let isRead = false;
  const options: WorkerOptions = {
    get type() {
      isRead = true;
      return 'module' as const;
    },
  };
  try {
    new Worker('//[', options).terminate();
  } catch {
    // The address is invalid.
  }
  return isRead;
}

/** A module with a function that returns a `v128`: valid only with SIMD. */
const simdProbe = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
]);
