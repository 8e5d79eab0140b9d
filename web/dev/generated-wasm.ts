import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Says what to do about the generated WebAssembly modules when they are not there. Without
 * the CPU module there is no site; without the WebGPU module the site runs on the CPU. With
 * `mock`, both are a stand-in that needs no WebAssembly at all.
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
