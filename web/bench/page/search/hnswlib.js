/**
 * hnswlib-wasm: its exact index (`BruteforceSearch`) with inner products of `f32` rows.
 *
 * @param {{ rows: Float32Array, dims: number, k: number }} input
 */
export async function open({ rows, dims, k }) {
  const { loadHnswlib } = await import('/vendor/hnswlib-wasm/dist/hnswlib.js');
  const { BruteforceSearch } = await loadHnswlib();
  const index = new BruteforceSearch('ip', dims);
  const items = rows.length / dims;
  index.initIndex(items);
  for (let item = 0; item < items; item += 1) {
    index.addPoint(rows.subarray(item * dims, (item + 1) * dims), item);
  }
  return (query) => {
    const { neighbors, distances } = index.searchKnn(query, k, undefined);
    return { positions: neighbors, scores: distances.map((distance) => 1 - distance) };
  };
}
