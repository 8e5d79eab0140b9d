import { DeviceError } from '../shared/errors.js';
import type { RecommenderOptions } from './options.js';
import { Recommender } from './recommender.js';
import { FEATURE_NAMES } from './support.js';
import { refused, startWorker } from './worker-script.js';

/**
 * Starts the worker, loads and verifies the model, and resolves once the device can rank.
 *
 * Rejects with an {@link ArtifactError} if a file is damaged, a {@link ServerError} if the
 * server cannot be reached, a {@link LifecycleError} if `signal` is aborted, and a
 * {@link DeviceError} if the browser lacks what is needed. This module can be imported in
 * Node, where this function rejects.
 */
export async function createRecommender(options: RecommenderOptions): Promise<Recommender> {
  const missing = Recommender.missingFeature();
  if (missing !== null) {
    throw new DeviceError(
      'unsupported',
      'expected module workers and WebAssembly with SIMD, found an environment without ' +
        `${FEATURE_NAMES[missing]}; with server-side rendering, create the recommender only in ` +
        'the browser',
    );
  }
  return Recommender.open(options, document.baseURI, () =>
    options.workerUrl === undefined ? startOwnWorker() : startWorker(options.workerUrl),
  );
}

function startOwnWorker(): Worker {
  try {
    // Bundlers find the worker only by this expression.
    return new Worker(new URL('../worker/index.js', import.meta.url), { type: 'module' });
  } catch (error) {
    throw refused(error, null);
  }
}
