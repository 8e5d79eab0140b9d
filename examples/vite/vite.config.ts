import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  build: { target: 'es2022' },
  // Leaves what only WebGPU needs out of the worker; the default puts both devices in it.
  worker: { format: 'es' },
});
