import { shape } from '../../model/shape.mjs';
import { freshDelta, learning } from '../workload.js';

/**
 * This repository's model, as `cargo xtask wasm` built it.
 *
 * @param {'cpu' | 'webgpu'} device
 */
export async function open(device) {
  const folder = `/pkg/wasm/${device}`;
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
    visit: (history) => model.read(history),
    click: (visitor, { newest }, candidates) => model.rerank_after(visitor, newest, candidates),
    async learn(visitor, { keys, rows, target }) {
      const [before, after] = await model.learn(visitor, keys, rows, target);
      return { before, after };
    },
  };
}
