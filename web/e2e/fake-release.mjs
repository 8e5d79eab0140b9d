import { createHash } from 'node:crypto';
import { syntheticCells } from '../bench/model/cells.mjs';
import { writeItemTable } from '../bench/model/item-table.mjs';
import { shape } from '../bench/model/shape.mjs';
import { syntheticBody, syntheticRows } from '../bench/model/synthetic.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Items per cell: about 60 KB. */
const PER_CELL = 800;

/** Bytes of a row: scale and values. */
const WIDTH = 4 + shape.dims;

/**
 * A release in the format of `tandem export`, with an untrained small model.
 *
 * @param {{ seed?: number, prefix?: string, count?: number, search?: object, cells?: boolean, counts?: boolean, popular?: string[] }}
 *   [changes] `seed` selects the weights, `prefix` and `count` the catalogue. `search`: the
 *   search configuration of the manifest, absent for a release without on-device search;
 *   `cells`: whether the rows are in cells instead of one table; `counts`: whether it has
 *   co-occurrence counts, whose file is not served; `popular`: items to show first
 */
export function release({
  seed = 1,
  prefix = 'i',
  count = 200,
  search,
  cells = false,
  counts = false,
  popular = [],
} = {}) {
  const items = Array.from({ length: count }, (_, number) => `${prefix}${number}`);
  const body = Buffer.from(syntheticBody(seed));
  const files = { 'body.safetensors': body, 'items.json': itemsFile(items) };
  const artifact = (path) => ({
    path,
    sha256: sha256(files[path]),
    bytes: files[path].length,
  });
  let rows;
  let rowOf;
  let searchConfig = search;
  if (cells) {
    const { index, ...rest } = syntheticCells({
      count,
      perCell: PER_CELL,
      dims: shape.dims,
      prefix,
      seed: seed + 1,
    });
    Object.assign(files, rest.files, { 'cells.bin': index });
    rowOf = rest.rowOf;
    searchConfig = { ...search, cells: artifact('cells.bin') };
    // A device does not download the table of a large catalogue.
    rows = { path: 'rows.bin', sha256: sha256('not served'), bytes: 8 + count * WIDTH };
  } else {
    const table = writeItemTable(syntheticRows(count, seed + 1), shape.dims);
    files['rows.bin'] = table;
    rowOf = (item) => table.subarray(8 + item * WIDTH, 8 + (item + 1) * WIDTH);
    rows = artifact('rows.bin');
  }
  const catalogue = sha256(items.map((item) => `${item}\n`).join(''));
  const manifest = Buffer.from(
    JSON.stringify({
      version: 1,
      catalogue: { hash: catalogue, items: count },
      model: shape,
      body: artifact('body.safetensors'),
      rows,
      items: artifact('items.json'),
      fusion: { rule: 'paper', beta: 1 },
      policy: { bucket: null },
      learning: {},
      search: searchConfig,
      counts: counts ? { rows: { ...rows, path: 'counts.bin' }, weight: 100 } : undefined,
      popular,
    }),
  );
  const hash = sha256(manifest).slice(0, 16);
  const position = (item) => Number(item.slice(prefix.length));
  return {
    items,
    files,
    manifest,
    hash,
    catalogue,
    rowsHash: rows.sha256,
    /** Row of an item in base64; `null` for an unknown item. */
    rowOf: (item) => (items[position(item)] === item ? base64(rowOf(position(item))) : null),
  };
}

const itemsFile = (items) =>
  Buffer.from(JSON.stringify(items.map((item) => ({ item, title: item }))));

const base64 = (bytes) => Buffer.from(bytes).toString('base64');
