import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

const COMPRESSED = /\.(html|js|css|svg|json|wasm)$/;
/** Above this size, the best quality of Brotli takes longer than it is worth. */
const LARGE = 2_000_000;

/** Writes `FILE.br` and `FILE.gz` beside each text and WebAssembly file of the site. */
export function compress(): Plugin {
  let folder = '';
  return {
    name: 'tandem:compress',
    apply: 'build',
    configResolved({ root, build }) {
      folder = join(root, build.outDir);
    },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        if (!COMPRESSED.test(name)) continue;
        const file = join(folder, name);
        const content = readFileSync(file);
        const quality = content.length > LARGE ? 9 : 11;
        const params = {
          [constants.BROTLI_PARAM_QUALITY]: quality,
          [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
        };
        writeFileSync(`${file}.br`, brotliCompressSync(content, { params }));
        writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}
