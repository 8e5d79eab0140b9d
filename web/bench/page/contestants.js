import { open as openOnnxruntime } from './runtimes/onnxruntime.js';
import { open as openTandem } from './runtimes/tandem.js';
import { open as openTensorflow } from './runtimes/tensorflow.js';

/**
 * @typedef {object} Runtime
 * @property {(history: Float32Array, candidates: Float32Array) => Promise<Float32Array>} rerank
 *   reads a whole history
 * @property {(history: Float32Array) => Promise<unknown>} [visit] reads the history of a visitor,
 *   whose next click is then ranked or learnt from
 * @property {(visitor: unknown, session: object, candidates: Float32Array) =>
 *   Promise<Float32Array>} click ranks after the newest item of a session whose other items were
 *   read; a runtime that keeps nothing between its calls reads all of them again
 * @property {(visitor: unknown, click: object) => Promise<{ before: number, after: number }>}
 *   [learn] a step on a click of this visitor
 * @property {() => Promise<void>} [activate] called before a measurement, untimed
 */

/**
 * Who computes on a device, and in which jobs it takes part. TensorFlow.js scores fastest on
 * WebAssembly; the learning step is tried on every backend it has.
 *
 * @type {Record<'cpu' | 'webgpu', { name: string, learns: boolean, ranks: boolean,
 *   open: () => Promise<Runtime> }[]>}
 */
export const contestants = {
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
