/**
 * Sizes of what a visitor loads, in bytes after Brotli at its highest quality, and their parts.
 * As a script it writes the tables of the README; `package.test.mjs` checks `size-limits.json`.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { composition } from './wasm-composition.mjs';

const path = (file) => fileURLToPath(new URL(`../${file}`, import.meta.url));
const compress = promisify(brotliCompress);

export const readme = path('README.md');

/** In KB (1,000 bytes) after Brotli: limits and targets. */
export const limits = JSON.parse(readFileSync(path('size-limits.json'), 'utf8'));

/** The files of each load. */
const LOADS = {
  default: [
    'dist/tandem.global.js',
    'dist/tandem.worker.js',
    'dist/tandem.cpu.js',
    'wasm/cpu/tandem_bg.wasm',
  ],
  webgpu: ['dist/tandem.webgpu.js', 'wasm/webgpu/tandem_bg.wasm'],
};

const WHEN = { default: 'always', webgpu: 'in addition, on WebGPU' };

/** Compression at the highest quality takes up to a minute: cached by content. */
const cache = path('../node_modules/.cache/tandem-client/brotli.json');

/** Sizes of every load: `{ total, parts: { file: bytes } }`. */
export async function measured() {
  const known = existsSync(cache) ? JSON.parse(readFileSync(cache, 'utf8')) : {};
  const size = async (file) => {
    const content = readFileSync(path(file));
    const key = createHash('sha256').update(content).digest('hex');
    if (!Number.isInteger(known[key])) {
      const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
      known[key] = (await compress(content, { params })).length;
    }
    return [file, known[key]];
  };
  const sizes = {};
  for (const [load, files] of Object.entries(LOADS)) {
    const parts = Object.fromEntries(await Promise.all(files.map(size)));
    sizes[load] = { total: Object.values(parts).reduce((sum, bytes) => sum + bytes), parts };
  }
  mkdirSync(dirname(cache), { recursive: true });
  writeFileSync(cache, JSON.stringify(known));
  return sizes;
}

const kb = (bytes) => (bytes / 1000).toFixed(bytes < 100_000 ? 1 : 0);
const table = (rows) =>
  [rows[0], rows[0].map(() => '---'), ...rows.slice(1)]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');

async function tables() {
  const sizes = await measured();
  const loads = Object.entries(sizes).map(([load, { total, parts }]) => {
    const files = Object.entries(parts).map(([file, bytes]) => `\`${file}\` ${kb(bytes)}`);
    const { limit, target } = limits[load];
    return [load, WHEN[load], files.join(', '), `**${kb(total)}**`, limit, target];
  });
  const devices = Object.entries({ CPU: 'cpu', WebGPU: 'webgpu' })
    .map(([name, device]) => [name, path(`wasm/${device}/tandem_named.wasm`)])
    .filter(([, named]) => existsSync(named));
  const modules = devices.map(([, named]) => composition(readFileSync(named)));
  const kinds = [...new Set(modules.flatMap((module) => Object.keys(module)))];
  const rows = kinds.map((kind) => [kind, ...modules.map((module) => kb(module[kind] ?? 0))]);
  return [
    'KB (1,000 bytes) after Brotli:',
    table([['load', 'when', 'files', 'sum', 'limit', 'aim'], ...loads]),
    'Parts of the WebAssembly files, in KB before compression. A function counts for the ' +
      'first crate in its name; inlined code counts for the function that contains it.',
    table([['', ...devices.map(([name]) => name)], ...rows]),
  ].join('\n\n');
}

const MARKED = /(<!-- sizes: .*? -->\n)[\s\S]*?(<!-- \/sizes -->)/;

/** The sums in the README, in KB by load. */
export function readmeTotals(text) {
  const [section] = MARKED.exec(text) ?? [''];
  const rows = [...section.matchAll(/^\| (\w+) \|.*?\*\*([\d.]+)\*\*/gm)];
  return Object.fromEntries(rows.map(([, load, total]) => [load, Number(total)]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = readFileSync(readme, 'utf8');
  const made = await tables();
  writeFileSync(
    readme,
    text.replace(MARKED, (_, begin, end) => `${begin}\n${made}\n\n${end}`),
  );
  console.log(made);
}
