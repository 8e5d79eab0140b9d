import { runtimes } from './runtimes.js';
import { sessions } from './workload.js';

/**
 * Scripts loaded before the measurement starts. Whatever they load themselves (worker,
 * WebAssembly, model) is part of the measurement.
 */
const SCRIPTS = {
  tandem: () => classic('/pkg/dist/tandem.global.js'),
  onnxruntime: () => import('/vendor/onnxruntime-web/dist/ort.wasm.bundle.min.mjs'),
  tensorflow: () => import('/tensorflow/wasm.js'),
};

/**
 * Time from the loaded script to the first ranking of 50 candidates. For the peers: open the
 * model and run it once. For ours: everything a page does, from `createRecommender` through a
 * click to the first list from the server that the small model has ranked.
 *
 * @param {{ name: string, cloud: string }} options runtime, and URL of the cloud server
 * @returns {Promise<number>} milliseconds
 */
globalThis.coldStart = async ({ name, cloud }) => {
  await SCRIPTS[name]();
  const [session] = sessions(1);
  const candidates = session.candidates(50);
  const start = performance.now();
  const count =
    name === 'tandem' ? await firstList(cloud) : await firstRun(name, session.history, candidates);
  const end = performance.now();
  if (count !== 50) throw new Error(`${name}: ${count} scores of 50`);
  return end - start;
};

async function firstRun(name, history, candidates) {
  const { open } = runtimes.cpu.find((entry) => entry.name === name);
  const runtime = await open();
  return (await runtime.rerank(history, candidates)).length;
}

async function firstList(cloud) {
  const recommender = await globalThis.Tandem.createRecommender({ server: cloud });
  const ranked = new Promise((resolve) => {
    recommender.on('update', ({ items }) => {
      const scored = items.filter(({ srmScore }) => srmScore !== null);
      if (scored.length > 0) resolve(scored.length);
    });
  });
  await recommender.track({ type: 'click', item: 'i60' });
  return ranked;
}

function classic(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = address;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${address} could not be loaded`));
    document.head.append(script);
  });
}
