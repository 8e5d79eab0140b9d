import { shape } from '../../model/shape.mjs';
import { freshDelta, learning } from '../workload.js';

/**
 * The model of this repository, built by `cargo xtask wasm`.
 *
 * @param {'cpu' | 'webgpu'} device
 */
export async function open(device) {
  const folder = `/bench/wasm/${device}`;
  const [glue, body] = await Promise.all([
    import(`${folder}/tandem.js`).then(async (glue) => {
      await glue.default({ module_or_path: fetch(`${folder}/tandem_bg.wasm`) });
      return glue;
    }),
    fetch('/model/body.safetensors').then((response) => response.arrayBuffer()),
  ]);
  const model = await glue.Bench.open(
    new Uint8Array(body),
    JSON.stringify(shape),
    JSON.stringify(freshDelta()),
    JSON.stringify(learning),
  );
  return {
    rerank: (history, candidates) => model.rerank(history, candidates),
    encode: (history) => model.encode(history),
    click: (encoded, { newest }, candidates) => model.rerank_after(encoded, newest, candidates),
    async learn(encoded, { keys, rows, target }) {
      const [before, after] = await model.learn(encoded, keys, rows, target);
      return { before, after };
    },
  };
}
