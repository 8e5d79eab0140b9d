import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const tests = fileURLToPath(new URL('test', import.meta.url));

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Unit tests replace the generated modules, whether or not they are built.
    alias: [{ find: /^.*\/wasm\/(cpu|webgpu)\/tandem\.js$/, replacement: `${tests}/glue-$1.ts` }],
  },
});
