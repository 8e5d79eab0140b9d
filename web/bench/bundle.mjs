import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const BACKENDS = ['cpu', 'wasm', 'webgpu'];

/**
 * Bundles TensorFlow.js as a site would: one entry per backend with a shared core. Its published
 * bundles lack gradients or contain far more than needed.
 *
 * @returns {Promise<{ scripts: Record<string, Uint8Array>, needs: Record<string, string[]> }>}
 *   scripts by file name, and for each backend the names of the scripts it loads
 */
export async function bundleTensorflow() {
  const entry = (name) => [name, join(here, 'page/tensorflow', `${name}.js`)];
  const { output } = await build({
    configFile: false,
    logLevel: 'error',
    root: here,
    build: {
      write: false,
      modulePreload: false,
      rolldownOptions: {
        input: Object.fromEntries(BACKENDS.map(entry)),
        preserveEntrySignatures: 'strict',
        output: { entryFileNames: '[name].js', chunkFileNames: '[name].js' },
      },
    },
  });
  const chunks = new Map(output.filter(isChunk).map((chunk) => [chunk.fileName, chunk]));
  const closure = (name) => [name, ...(chunks.get(name)?.imports ?? []).flatMap(closure)];
  return {
    scripts: Object.fromEntries([...chunks].map(([name, { code }]) => [name, Buffer.from(code)])),
    needs: Object.fromEntries(BACKENDS.map((name) => [name, [...new Set(closure(`${name}.js`))]])),
  };
}

const isChunk = ({ type }) => type === 'chunk';
