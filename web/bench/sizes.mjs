import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { clientFolder, packageFolder, wasmFolder } from './server.mjs';

const compress = promisify(brotliCompress);

/** Cache of compressed sizes: compressing the 14 MB of a peer takes half a minute. */
const cache = join(packageFolder('onnxruntime-web'), '../.cache/tandem-bench/brotli.json');

/** The files that a visitor loads, by runtime and device. */
function contents(name, device, tensorflow) {
  const ort = (file) => readFileSync(join(packageFolder('onnxruntime-web'), 'dist', file));
  const tfWasm = join(packageFolder('@tensorflow/tfjs-backend-wasm'), 'dist');
  const tfScripts = (backend) => tensorflow.needs[backend].map((file) => tensorflow.scripts[file]);
  const ours = (file) => readFileSync(join(wasmFolder, device, file));
  switch (`${name} ${device}`) {
    case 'onnxruntime cpu':
      return {
        scripts: [ort('ort.wasm.bundle.min.mjs')],
        wasm: [ort('ort-wasm-simd-threaded.wasm')],
      };
    case 'onnxruntime webgpu':
      return {
        scripts: [ort('ort.webgpu.bundle.min.mjs')],
        wasm: [ort('ort-wasm-simd-threaded.asyncify.wasm')],
      };
    case 'tensorflow cpu':
      return {
        scripts: tfScripts('wasm'),
        wasm: [readFileSync(join(tfWasm, 'tfjs-backend-wasm-simd.wasm'))],
      };
    case 'tensorflow webgpu':
      return { scripts: tfScripts('webgpu'), wasm: [] };
    default:
      return { scripts: clientScripts(device), wasm: [ours('tandem_bg.wasm')] };
  }
}

/** Scripts of the client package for a script tag; the bindings alone if it is not built. */
function clientScripts(device) {
  if (!existsSync(clientFolder)) return [readFileSync(join(wasmFolder, device, 'tandem.js'))];
  const parts = ['global', 'worker', device];
  return parts.map((part) => readFileSync(join(clientFolder, `tandem.${part}.js`)));
}

/** Bytes after Brotli at the highest quality. */
async function brotliSize(content) {
  const key = createHash('sha256').update(content).digest('hex');
  const known = existsSync(cache) ? JSON.parse(readFileSync(cache, 'utf8')) : {};
  if (Number.isInteger(known[key])) return known[key];
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  const { length } = await compress(content, { params });
  mkdirSync(dirname(cache), { recursive: true });
  writeFileSync(cache, JSON.stringify({ ...known, [key]: length }));
  return length;
}

/**
 * Download size of a runtime in bytes after Brotli. Ours includes the client package and its
 * worker; the peers have no counterpart to these.
 *
 * @returns {Promise<{ wasm: number, scripts: number }>}
 */
export async function runtimeSize(name, device, tensorflow) {
  const sizes = { wasm: 0, scripts: 0 };
  for (const [kind, parts] of Object.entries(contents(name, device, tensorflow))) {
    for (const part of parts) sizes[kind] += await brotliSize(part);
  }
  return sizes;
}
