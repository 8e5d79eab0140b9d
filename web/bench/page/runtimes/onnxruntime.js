import { shape } from '../../model/shape.mjs';

/**
 * onnxruntime-web: single-threaded with SIMD, or with the WebGPU execution provider.
 *
 * @param {'cpu' | 'webgpu'} device
 */
export async function open(device) {
  const folder = '/vendor/onnxruntime-web/dist';
  const [bundle, wasm, provider] =
    device === 'cpu'
      ? ['ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm', 'wasm']
      : ['ort.webgpu.bundle.min.mjs', 'ort-wasm-simd-threaded.asyncify.wasm', 'webgpu'];
  const ort = await import(`${folder}/${bundle}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: `${folder}/${wasm}` };
  const session = await ort.InferenceSession.create('/model/model.onnx', {
    executionProviders: [provider],
  });
  const rows = (values) =>
    new ort.Tensor('float32', values, [values.length / shape.dims, shape.dims]);
  const rerank = async (history, candidates) => {
    const feeds = { history: rows(history), candidates: rows(candidates) };
    const { scores } = await session.run(feeds);
    return scores.data;
  };
  return { rerank, click: (_, { history }, candidates) => rerank(history, candidates) };
}
