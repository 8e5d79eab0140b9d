import { defineConfig } from 'vitest/config';

// Some tests make weights of megabytes, which takes seconds on a busy machine.
export default defineConfig({ test: { include: ['test/**/*.test.mjs'], testTimeout: 60_000 } });
