import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Resolves the generated WebAssembly modules. A missing CPU module is a build error; without
 * the WebGPU module the site runs on the CPU only. With `mock`, both are replaced by
 * `fake-client.ts`, which needs no WebAssembly.
 */
export function generatedWasm(mock: boolean): Plugin {
  return {
    name: 'tandem:generated-wasm',
    enforce: 'pre',
    resolveId(source, importer) {
      const device = /wasm\/(cpu|webgpu)\/tandem\.js$/.exec(source)?.[1];
      if (device === undefined || importer === undefined) return null;
      if (mock) return resolve(here, 'fake-client.ts');
      if (existsSync(resolve(here, `../../pkg/wasm/${device}/tandem.js`))) return null;
      if (device === 'cpu') this.error('pkg/wasm/cpu is missing: run `cargo xtask wasm` first');
      this.warn('pkg/wasm/webgpu is missing: the site will run on the CPU only');
      return resolve(here, 'without-webgpu.ts');
    },
  };
}
