import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);

/** Folder of the built modules of `wasm-client`. */
export const wasmFolder = join(here, '../../pkg/wasm');

/** Folder of the built JavaScript of the client package. */
export const clientFolder = join(here, '../../pkg/dist');

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

/** Without these a page's clock ticks in steps of 100 µs instead of 5. */
const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
};

/** Where npm put a package. */
export function packageFolder(name) {
  const folders = require.resolve.paths(name) ?? [];
  const folder = folders.map((parent) => join(parent, name)).find((path) => existsSync(path));
  if (folder === undefined) throw new Error(`the package ${name} is not installed: run npm ci`);
  return folder;
}

/** Version of an installed package. */
export function packageVersion(name) {
  return JSON.parse(readFileSync(join(packageFolder(name), 'package.json'), 'utf8')).version;
}

/**
 * Serves the pages, the runtimes, and what was made for this run on a free port of this
 * machine.
 *
 * @param {Record<string, Uint8Array>} made by path
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function serve(made) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    const content = made[path] ?? read(path);
    if (content === null) {
      response.writeHead(404, ISOLATION).end();
      return;
    }
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, {
      ...ISOLATION,
      'content-type': type,
      'content-length': content.length,
      'cache-control': 'no-store',
    });
    response.end(content);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address();
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

const kept = new Map();

/** @returns {Buffer | null} the file; from memory, so that the disk is in nobody's way */
function read(path) {
  const file = locate(normalize(path));
  if (file === null || !existsSync(file)) return null;
  if (!kept.has(file)) kept.set(file, readFileSync(file));
  return kept.get(file);
}

function locate(path) {
  const [, first, ...rest] = path.split('/');
  if (first === 'page' || first === 'model') return join(here, path);
  if (first === 'pkg' && rest[0] === 'wasm') return join(wasmFolder, ...rest.slice(1));
  if (first === 'pkg' && rest[0] === 'dist') return join(clientFolder, ...rest.slice(1));
  if (first !== 'vendor') return null;
  const depth = rest[0]?.startsWith('@') ? 2 : 1;
  return join(packageFolder(rest.slice(0, depth).join('/')), ...rest.slice(depth));
}
