import { random } from '../model/random.mjs';
import { shape } from '../model/shape.mjs';
import { syntheticRows } from '../model/synthetic.mjs';

const ITEMS = 12_000;
const CLICKS = 30;
const CANDIDATES = 100;

/** Learning configuration: the defaults of the Rust `LearningConfig`. */
export const learning = Object.freeze({
  rank: 4,
  row_rate: 0.02,
  adapter_rate: 1.0,
  decay: 0.05,
  max_norm: 1.0,
  negatives: 50,
  preference_rate: 0.5,
  preference_decay: 0.2,
  replay: 3,
});

/**
 * Sessions with gathered item rows; gathering is not part of any measurement.
 *
 * @param {number} count
 */
export function sessions(count) {
  const table = syntheticRows(ITEMS, 11);
  const { distinct } = random(12);
  return Array.from({ length: count }, () => {
    const items = distinct(CLICKS + CANDIDATES, ITEMS);
    const rows = gather(table, items);
    const newest = (CLICKS - 1) * shape.dims;
    return {
      items,
      history: rows.slice(0, CLICKS * shape.dims),
      /** The history without its newest item, and the newest item. */
      before: rows.slice(0, newest),
      newest: rows.slice(newest, CLICKS * shape.dims),
      candidates: (n) => rows.slice(CLICKS * shape.dims, (CLICKS + n) * shape.dims),
      /** Training example: a click on the first of `n` candidates. */
      example: (n) => ({
        keys: Uint32Array.from(items.slice(CLICKS, CLICKS + n)),
        rows: rows.slice(CLICKS * shape.dims, (CLICKS + n) * shape.dims),
        target: 0,
      }),
    };
  });
}

/** An untrained personal delta in its stored format. */
export function freshDelta() {
  const { uniform } = random(13);
  const scale = 1 / Math.sqrt(shape.dims);
  return {
    base: 'bench',
    dims: shape.dims,
    rank: learning.rank,
    steps: 0,
    rows: {},
    down: Array.from({ length: shape.dims * learning.rank }, () =>
      Math.fround((2 * uniform() - 1) * scale),
    ),
    up: new Array(learning.rank * shape.dims).fill(0),
  };
}

function gather(table, items) {
  const rows = new Float32Array(items.length * shape.dims);
  items.forEach((item, at) => {
    rows.set(table.subarray(item * shape.dims, (item + 1) * shape.dims), at * shape.dims);
  });
  return rows;
}
