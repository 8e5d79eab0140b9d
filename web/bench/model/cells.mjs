import { createHash } from 'node:crypto';
import { writeRows } from './item-table.mjs';
import { random } from './random.mjs';

/** Spread of the rows of a cell around its centroid, relative to the spread of centroids. */
const NOISE = 0.7;

/**
 * A large catalogue in cells, in the format of `tandem export`. Rows are clustered by
 * construction: each is the centroid of its cell plus noise. Item `n` has the id
 * `<prefix><n>` and the row `n % perCell` of the cell `floor(n / perCell)`.
 *
 * @param {{ count: number, perCell: number, dims: number, prefix: string, seed: number }} shape
 * @returns {{ index: Buffer, files: Record<string, Buffer>, rowOf: (item: number) => Buffer }}
 *   the index, the cells by path, and the row of an item (`f32` scale, then `i8` values)
 */
export function syntheticCells({ count, perCell, dims, prefix, seed }) {
  const { uniform, normal } = random(seed);
  const deviation = 1 / Math.sqrt(dims);
  // Uniform noise with the deviation of the centroids times NOISE.
  const amplitude = NOISE * deviation * Math.sqrt(12);
  const cells = [];
  const files = {};
  for (let first = 0; first < count; first += perCell) {
    const items = Math.min(perCell, count - first);
    const centroid = Float32Array.from({ length: dims }, () => deviation * normal());
    const values = Float32Array.from(
      { length: items * dims },
      (_, at) => centroid[at % dims] + amplitude * (uniform() - 0.5),
    );
    const ids = Array.from({ length: items }, (_, at) => `${prefix}${first + at}`);
    const rows = writeRows(values, dims);
    const file = cellFile(ids, rows, dims);
    const sha256 = createHash('sha256').update(file).digest();
    files[`cells/${sha256.toString('hex')}`] = file;
    cells.push({ centroid: writeRows(centroid, dims), items, bytes: file.length, sha256, rows });
  }
  const width = 4 + dims;
  return {
    index: indexFile(cells, dims, count),
    files,
    rowOf(item) {
      const { rows } = cells[Math.floor(item / perCell)];
      const at = (item % perCell) * width;
      return rows.subarray(at, at + width);
    },
  };
}

/** `TNDMCEL1`: the ids with their lengths, then the rows. */
function cellFile(ids, rows, dims) {
  const texts = ids.flatMap((id) => {
    const bytes = Buffer.from(id);
    const length = Buffer.alloc(2);
    length.writeUInt16LE(bytes.length);
    return [length, bytes];
  });
  return Buffer.concat([Buffer.from('TNDMCEL1'), words(dims, ids.length), ...texts, rows]);
}

/** `TNDMCIX1`: per cell its centroid, number of items, size and SHA-256. */
function indexFile(cells, dims, count) {
  const entries = cells.flatMap(({ centroid, items, bytes, sha256 }) => [
    centroid,
    words(items, bytes),
    sha256,
  ]);
  return Buffer.concat([Buffer.from('TNDMCIX1'), words(dims, cells.length, count), ...entries]);
}

function words(...numbers) {
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((number, at) => {
    bytes.writeUInt32LE(number, 4 * at);
  });
  return bytes;
}
