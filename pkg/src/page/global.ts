/** The package for pages without modules or a bundler: one script with the global `Tandem`. */
import { UsageError } from '../shared/errors.js';
import { createRecommender as create, type Recommender, type RecommenderOptions } from './index.js';

export * from './index.js';

// `currentScript` is set only while the script runs for the first time.
const here = document.currentScript?.getAttribute('src') ?? null;
const base = here === null ? null : new URL(here, document.baseURI);

/** Like the function of the module, with worker and WebAssembly beside this script. */
export async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
  if (base === null && (options?.workerUrl === undefined || options.wasmUrl === undefined)) {
    throw new UsageError(
      'invalid_argument',
      'workerUrl, wasmUrl: expected both, because tandem.global.js was not loaded by a ' +
        '<script src> whose address could be used',
    );
  }
  const beside =
    base === null
      ? {}
      : { workerUrl: new URL('tandem.worker.js', base), wasmUrl: new URL('../wasm/', base) };
  return create({ ...beside, ...options });
}
