/**
 * The files for pages without a bundler: `dist/tandem.global.js` for a script tag, and the
 * worker it starts, `dist/tandem.worker.js`. Bundlers take what `tsc` wrote instead.
 *
 * With `--complete` a missing WebAssembly module is an error: that is how the package is
 * packed. Without it, the worker only lacks what was not built.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const path = (file) => fileURLToPath(new URL(`../${file}`, import.meta.url));
const complete = process.argv.includes('--complete');

/** Generated bindings that are not there stay an import that fails when it is reached. */
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
  // A classic script has no import.meta; src/page/global.ts gives the addresses instead.
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
