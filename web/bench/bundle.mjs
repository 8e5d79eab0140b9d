import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const BACKENDS = ['cpu', 'wasm', 'webgpu'];

/**
 * TensorFlow.js as a site would bundle it: one entry a backend, over one core. Its published
 * bundles come without gradients, or with far more than is needed here.
 *
 * @returns {Promise<{ scripts: Record<string, Uint8Array>, needs: Record<string, string[]> }>}
 *   scripts by file name, and the names of those that each backend loads
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
