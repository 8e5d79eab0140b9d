import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';
import { films } from './films.ts';

/**
 * Mock server for work on the page: `npm run mock --workspace @tandem-rec/demo`.
 * `GET /__mock?fault=integrity|down|failing|slow` simulates a fault, `GET /__mock` clears it.
 * `TANDEM_MOCK_ITEMS` names an items file of a real server to display instead.
 */
export function mockServer(): Plugin {
  let fault = '';
  const file = process.env['TANDEM_MOCK_ITEMS'];
  const items = file === undefined ? JSON.stringify(films) : readFileSync(file, 'utf8');
  const answers: Record<string, () => string> = {
    '/v1/manifest': () =>
      JSON.stringify({
        version: 1,
        catalogue: { hash: 'mock', items: JSON.parse(items).length },
        model: { kind: 'sasrec', dims: 64, blocks: 2, heads: 2, max_length: 50 },
        items: { path: 'items.json', sha256: 'mock', bytes: items.length },
      }),
    '/v1/status': () =>
      JSON.stringify({
        ready: true,
        language_model: { name: 'Example language model', sha256: 'mock' },
        catalogue: { hash: 'mock', items: JSON.parse(items).length },
        notice:
          'Example data: sixty films without ratings. The demo shows the licence terms of its data here.',
      }),
    '/v1/models': () =>
      JSON.stringify({
        models: ['Example language model', 'Second language model'].map((name) => ({
          name,
          ready: true,
        })),
      }),
    '/artifacts/mock/items.json': () => items,
    '/__mock/state': () => JSON.stringify({ fault }),
  };
  return {
    name: 'tandem:mock-server',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const url = new URL(request.url ?? '/', 'http://mock');
        if (url.pathname === '/__mock') {
          fault = url.searchParams.get('fault') ?? '';
          response.end(fault);
          return;
        }
        if (url.pathname.endsWith('tandem_bg.wasm')) {
          response.setHeader('content-type', 'application/wasm');
          response.end(Buffer.alloc(0));
          return;
        }
        const answer = answers[url.pathname];
        if (answer === undefined) {
          next();
          return;
        }
        if (fault === 'down' && url.pathname.startsWith('/v1')) {
          request.socket.destroy();
          return;
        }
        response.setHeader('content-type', 'application/json');
        response.setHeader('x-artifacts', 'mock');
        response.end(answer());
      });
    },
  };
}
