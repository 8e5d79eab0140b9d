import { readItemTable } from '../model/item-table.mjs';
import { random } from '../model/random.mjs';
import { takeTurns } from './rounds.js';
import { open as openHnswlib } from './search/hnswlib.js';
import { open as openOnnxruntime } from './search/onnxruntime.js';
import { open as openTandem } from './search/tandem.js';
import { open as openWebGpu } from './search/webgpu.js';

/** Searches by device. Ours computes on the CPU, also beside a GPU. */
const RUNTIMES = {
  cpu: { tandem: openTandem, onnxruntime: openOnnxruntime, hnswlib: openHnswlib },
  webgpu: { tandem: openTandem, webgpu: openWebGpu },
};

const QUERIES = 16;

/** Maximum difference of scores between runtimes, due to `f32` rounding. */
const TOLERANCE = 1e-3;

/**
 * Measures exact search in item tables, in alternating order. Each runtime gets the same rows;
 * ours keeps them in 8 bits.
 *
 * @param {{ device: 'cpu' | 'webgpu', sizes: number[], k: number, only: string[] | null,
 *   rounds: number, warmUp: number }} plan `sizes`: numbers of rows; `k`: results per search
 * @returns {Promise<{ samples: Record<string, number[]>, agreement: Record<string, number> }>}
 */
export async function measureSearch({ device, sizes, k, only, rounds, warmUp }) {
  const agreement = {};
  const calls = [];
  for (const size of sizes) {
    const response = await fetch(`/model/rows${size}.bin`);
    const file = await response.arrayBuffer();
    const { dims, rows } = readItemTable(file);
    const input = { file, rows, dims, k, model: `/model/search${size}.onnx` };
    const inputs = queries(dims);
    let expected = null;
    for (const [name, open] of Object.entries(RUNTIMES[device])) {
      if (only !== null && !only.includes(name)) continue;
      console.info(`opening ${name} with ${size} rows`);
      const search = await open(input);
      const found = [];
      for (const query of inputs) found.push(await search(query));
      expected ??= found;
      agreement[`${name} ${size}`] = largestDifference(expected, found, k, name);
      const call = (round) => search(inputs[round % inputs.length]);
      calls.push({ name: `search${size} ${name}`, call });
    }
  }
  console.info('searching');
  return { samples: await takeTurns(calls, { rounds, warmUp }), agreement };
}

/** User embeddings: standard normal vectors. */
function queries(dims) {
  const { normal } = random(14);
  return Array.from({ length: QUERIES }, () => Float32Array.from({ length: dims }, normal));
}

/** Checks that the results are the same up to rounding and the order of near ties. */
function largestDifference(expected, found, k, name) {
  let largest = 0;
  found.forEach(({ positions, scores }, at) => {
    const wanted = new Set(Array.from(expected[at].positions, Number));
    const common = Array.from(positions, Number).filter((position) => wanted.has(position)).length;
    if (positions.length !== k || common < k - 1) {
      throw new Error(`search by ${name}: ${common} of ${k} results as expected`);
    }
    const sorted = [scores, expected[at].scores].map((list) =>
      Float32Array.from(list).sort().reverse(),
    );
    sorted[0].forEach((score, rank) => {
      const difference = Math.abs(score - sorted[1][rank]);
      if (!(difference < TOLERANCE)) {
        throw new Error(`search by ${name}: scores differ by ${difference} at rank ${rank}`);
      }
      largest = Math.max(largest, difference);
    });
  });
  return largest;
}
