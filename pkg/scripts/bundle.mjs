/**
 * The files for pages without a bundler: `dist/tandem.global.js` for a script tag, and its
 * worker, `dist/tandem.worker.js`. Bundlers use the output of `tsc` instead.
 *
 * With `--complete`, as for packing, a missing WebAssembly module is an error. Without it, the
 * worker lacks the devices that were not built.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const path = (file) => fileURLToPath(new URL(`../${file}`, import.meta.url));
const complete = process.argv.includes('--complete');

/** The import of bindings that are not built stays, and fails at run time. */
const generated = {
  name: 'tandem:generated-wasm',
  resolveId(source) {
    const device = /\/wasm\/(cpu|webgpu)\/tandem\.js$/.exec(source)?.[1];
    if (device === undefined || existsSync(path(`wasm/${device}/tandem.js`))) return null;
    const missing = `pkg/wasm/${device} is missing: run \`cargo xtask wasm\``;
    if (complete) this.error(missing);
    this.warn(missing);
    return { id: `../wasm/${device}/tandem.js`, external: true };
  },
};

const shared = { dir: path('dist'), sourcemap: true, minify: true };

await build({
  input: { 'tandem.global': path('src/page/global.ts') },
  // A classic script has no import.meta; src/page/global.ts finds the addresses instead.
  transform: { define: { 'import.meta.url': 'undefined' } },
  output: { ...shared, format: 'iife', name: 'Tandem', entryFileNames: '[name].js' },
});
await build({
  input: { 'tandem.worker': path('src/worker/index.ts') },
  plugins: [generated],
  output: {
    ...shared,
    format: 'es',
    entryFileNames: '[name].js',
    chunkFileNames: ({ moduleIds }) => `tandem.${deviceOf(moduleIds)}.js`,
  },
});

function deviceOf(moduleIds) {
  const devices = moduleIds.flatMap((id) => /wasm\/(cpu|webgpu)\//.exec(id)?.[1] ?? []);
  return devices.length === 1 ? devices[0] : 'shared';
}

for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) {
  copyFileSync(path(`../${licence}`), path(licence));
}
