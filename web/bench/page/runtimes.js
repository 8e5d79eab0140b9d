import { open as openOnnxruntime } from './runtimes/onnxruntime.js';
import { open as openTandem } from './runtimes/tandem.js';
import { open as openTensorflow } from './runtimes/tensorflow.js';

/**
 * @typedef {object} Runtime
 * @property {(history: Float32Array, candidates: Float32Array) => Promise<Float32Array>} rerank
 *   encodes the whole history and scores the candidates
 * @property {(history: Float32Array) => Promise<unknown>} [encode] encodes a history; the result
 *   is passed to `click` and `learn`
 * @property {(encoded: unknown, session: object, candidates: Float32Array) =>
 *   Promise<Float32Array>} click encodes the newest item of a session and scores the candidates;
 *   a runtime without incremental state encodes the whole history again
 * @property {(encoded: unknown, example: object) => Promise<{ before: number, after: number }>}
 *   [learn] one learning step; losses before and after it
 * @property {() => Promise<void>} [activate] called before each measurement, not timed
 */

/**
 * Runtimes by device, and the jobs of each. TensorFlow.js scores fastest on WebAssembly; the
 * learning step is tried on all of its backends.
 *
 * @type {Record<'cpu' | 'webgpu', { name: string, learns: boolean, ranks: boolean,
 *   open: () => Promise<Runtime> }[]>}
 */
export const runtimes = {
  cpu: [
    { name: 'tandem', ranks: true, learns: true, open: () => openTandem('cpu') },
    { name: 'onnxruntime', ranks: true, learns: false, open: () => openOnnxruntime('cpu') },
    { name: 'tensorflow', ranks: true, learns: true, open: () => openTensorflow('wasm') },
    { name: 'tensorflow-js', ranks: false, learns: true, open: () => openTensorflow('cpu') },
  ],
  webgpu: [
    { name: 'tandem', ranks: true, learns: false, open: () => openTandem('webgpu') },
    { name: 'onnxruntime', ranks: true, learns: false, open: () => openOnnxruntime('webgpu') },
    { name: 'tensorflow', ranks: true, learns: false, open: () => openTensorflow('webgpu') },
  ],
};
