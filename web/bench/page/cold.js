import { contestants } from './contestants.js';
import { sessions } from './workload.js';

/**
 * From nothing to the first ranking of 50 candidates: code, weights, compilation, one run.
 * The inputs are made beforehand.
 *
 * @param {{ device: 'cpu' | 'webgpu', name: string }} who
 * @returns {Promise<number>} milliseconds
 */
globalThis.coldStart = async ({ device, name }) => {
  const contestant = contestants[device].find((contestant) => contestant.name === name);
  const [session] = sessions(1);
  const candidates = session.candidates(50);
  const start = performance.now();
  const runtime = await contestant.open();
  const scores = await runtime.rerank(session.history, candidates);
  const end = performance.now();
  if (scores.length !== 50) throw new Error(`${name}: ${scores.length} scores of 50`);
  return end - start;
};
