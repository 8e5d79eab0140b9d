/**
 * onnxruntime-web: MatMul and TopK over `f32` rows, single-threaded with SIMD.
 *
 * @param {{ model: string, dims: number }} input `model`: URL of the ONNX file
 */
export async function open({ model, dims }) {
  const folder = '/vendor/onnxruntime-web/dist';
  const ort = await import(`${folder}/ort.wasm.bundle.min.mjs`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: `${folder}/ort-wasm-simd-threaded.wasm` };
  const session = await ort.InferenceSession.create(model, { executionProviders: ['wasm'] });
  return async (query) => {
    const feeds = { query: new ort.Tensor('float32', query, [1, dims]) };
    const { scores, positions } = await session.run(feeds);
    return { positions: Array.from(positions.data, Number), scores: scores.data };
  };
}
