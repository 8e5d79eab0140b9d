/** The package for a page without modules or a bundler: one script, one global, `Tandem`. */
import { UsageError } from '../shared/errors.js';
import { createRecommender as create, type Recommender, type RecommenderOptions } from './index.js';

export * from './index.js';

// The document tells it only while the script is being run for the first time.
const here = document.currentScript?.getAttribute('src') ?? null;
const base = here === null ? null : new URL(here, document.baseURI);

/** As in the module, with worker and WebAssembly looked for beside this very script. */
export async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
  if (base === null && (options.workerUrl === undefined || options.wasmUrl === undefined)) {
    throw new UsageError(
      'invalid_argument',
      'workerUrl, wasmUrl: expected both, since tandem.global.js was not loaded by a plain ' +
        '<script src> that would tell where the package is',
    );
  }
  const beside =
    base === null
      ? {}
      : { workerUrl: new URL('tandem.worker.js', base), wasmUrl: new URL('../wasm/', base) };
  return create({ ...beside, ...options });
}
