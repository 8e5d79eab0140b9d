import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  build: { target: 'es2022' },
  // Optional: keeps the WebGPU glue code out of the worker; the default bundles both backends.
  worker: { format: 'es' },
});
