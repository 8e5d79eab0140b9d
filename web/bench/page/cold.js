import { contestants } from './contestants.js';
import { sessions } from './workload.js';

/**
 * What a page has loaded before it begins. The timed part finds these in the browser's
 * memory; what they load themselves (a worker, WebAssembly, the model) it has to fetch.
 */
const SCRIPTS = {
  tandem: () => classic('/pkg/dist/tandem.global.js'),
  onnxruntime: () => import('/vendor/onnxruntime-web/dist/ort.wasm.bundle.min.mjs'),
  tensorflow: () => import('/tensorflow/wasm.js'),
};

/**
 * From nothing but a script to the first ranking of 50 candidates: for the others, opening
 * the model and one run; for ours, all that a page does, from `createRecommender` over a
 * click to the first list from the cloud that the small model has ranked.
 *
 * @param {{ name: string, cloud: string }} who and the address of a cloud server
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
  const contestant = contestants.cpu.find((contestant) => contestant.name === name);
  const runtime = await contestant.open();
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
