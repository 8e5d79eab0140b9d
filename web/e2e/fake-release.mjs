import { createHash } from 'node:crypto';
import { writeItemTable } from '../bench/model/item-table.mjs';
import { shape } from '../bench/model/shape.mjs';
import { syntheticBody, syntheticRows } from '../bench/model/synthetic.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * A release in the format of `tandem export`, with an untrained small model.
 *
 * @param {{ seed?: number, prefix?: string, count?: number, search?: object }} [changes] `seed`
 *   selects the weights, `prefix` and `count` the catalogue; `search`: the search configuration
 *   of the manifest, absent for a release without on-device search
 */
export function release({ seed = 1, prefix = 'i', count = 200, search } = {}) {
  const items = Array.from({ length: count }, (_, number) => `${prefix}${number}`);
  const files = {
    'body.safetensors': Buffer.from(syntheticBody(seed)),
    'rows.bin': writeItemTable(syntheticRows(count, seed + 1), shape.dims),
    'items.json': Buffer.from(JSON.stringify(items.map((item) => ({ item, title: item })))),
  };
  const artifact = (path) => ({
    path,
    sha256: sha256(files[path]),
    bytes: files[path].length,
  });
  const catalogue = sha256(items.map((item) => `${item}\n`).join(''));
  const manifest = Buffer.from(
    JSON.stringify({
      version: 1,
      catalogue: { hash: catalogue, items: count },
      model: shape,
      body: artifact('body.safetensors'),
      rows: artifact('rows.bin'),
      items: artifact('items.json'),
      fusion: { rule: 'paper', beta: 1 },
      policy: { bucket: null },
      learning: {},
      search,
    }),
  );
  return { items, files, manifest, hash: sha256(manifest).slice(0, 16), catalogue };
}
