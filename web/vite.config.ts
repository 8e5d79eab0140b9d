import { resolve } from 'node:path';
import { defineConfig } from 'vite';
import { compress } from './dev/compress.ts';
import { generatedWasm } from './dev/generated-wasm.ts';
import { mockServer } from './dev/mock-server.ts';
import { results } from './dev/results.ts';
import { serviceWorker } from './dev/service-worker.ts';

const mock = process.env['TANDEM_MOCK'] === '1';
const server = process.env['TANDEM_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Relative, so that the site can be served from any path.
  base: './',
  build: {
    target: 'es2022',
    sourcemap: true,
    rolldownOptions: { input: ['index.html', 'evidence.html', 'goods.html', 'own.html'] },
  },
  worker: { format: 'es', plugins: () => [generatedWasm(mock)] },
  plugins: [
    generatedWasm(mock),
    ...(mock ? [mockServer()] : []),
    results(resolve(import.meta.dirname, '../docs/results')),
    serviceWorker(resolve(import.meta.dirname, 'src/service-worker.js')),
    compress(),
  ],
  server: {
    fs: { allow: ['..'] },
    ...(mock ? {} : { proxy: { '/v1': server, '/artifacts': server } }),
  },
});
