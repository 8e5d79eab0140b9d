import { defineConfig } from 'vite';
import { generatedWasm } from './dev/generated-wasm.ts';
import { mockServer } from './dev/mock-server.ts';

const mock = process.env['TANDEM_MOCK'] === '1';
const server = process.env['TANDEM_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // Relative, so that the site can be served from any path.
  base: './',
  build: { target: 'es2022', sourcemap: true },
  worker: { format: 'es', plugins: () => [generatedWasm(mock)] },
  plugins: mock ? [generatedWasm(true), mockServer()] : [generatedWasm(false)],
  server: {
    fs: { allow: ['..'] },
    ...(mock ? {} : { proxy: { '/v1': server, '/artifacts': server } }),
  },
});
