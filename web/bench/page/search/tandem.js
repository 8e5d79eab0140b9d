/**
 * Exact search of this repository: `ItemTable::top_k` over 8-bit rows, built by
 * `cargo xtask wasm`.
 *
 * @param {{ file: ArrayBuffer, k: number }} input
 */
export async function open({ file, k }) {
  const folder = '/bench/wasm/cpu';
  const glue = await import(`${folder}/tandem.js`);
  if (glue.BenchTable === undefined) {
    throw new Error('the module has no BenchTable: build it with `cargo xtask bench browser`');
  }
  await glue.default({ module_or_path: fetch(`${folder}/tandem_bg.wasm`) });
  const table = new glue.BenchTable(new Uint8Array(file));
  return (query) => {
    const found = table.search(query, k); // positions, then scores
    return { positions: found.subarray(0, k), scores: found.subarray(k) };
  };
}
