import { DeviceError } from '../shared/errors.js';
import type { RecommenderOptions } from './options.js';
import { Recommender } from './recommender.js';

/**
 * Starts the worker, fetches and verifies the model, and resolves once the device can rank.
 *
 * Rejects with an {@link ArtifactError} if a file is damaged, a {@link ServerError} if the
 * server is away, a {@link LifecycleError} if `signal` is aborted, a {@link DeviceError} if
 * the browser lacks what is needed. Importing this module in Node is safe; calling this
 * there rejects.
 */
export async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
  if (!Recommender.isSupported()) {
    throw new DeviceError(
      'unsupported',
      'this environment has no module workers or no WebAssembly SIMD; ' +
        'in server-side rendering create the recommender in the browser only',
    );
  }
  return Recommender.open(options, document.baseURI, () =>
    options.workerUrl === undefined
      ? new Worker(new URL('../worker/index.js', import.meta.url), { type: 'module' })
      : new Worker(options.workerUrl, { type: 'module' }),
  );
}
