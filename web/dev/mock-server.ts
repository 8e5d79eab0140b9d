import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
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
        popular: films.map(({ item }) => item),
        fusion: { rule: 'weighted', alpha: 0.2 },
        policy: { bucket: { capacity: 3, refill_per_minute: 6 } },
        search: { k: 100 },
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
        if (url.pathname === '/v1/candidates') {
          answerCandidates(request, response, fault);
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

/** Time that the simulated language model takes, in milliseconds. */
const MODEL_MS = 900;

/** A list of films that share genres with the newest films of the history. */
function answerCandidates(request: IncomingMessage, response: ServerResponse, fault: string): void {
  let text = '';
  request.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  request.on('end', () => {
    const {
      history,
      exclude = [],
      k = 50,
    } = JSON.parse(text) as {
      history: string[];
      exclude?: string[];
      k?: number;
    };
    const wanted = new Set(
      films.filter(({ item }) => history.slice(-5).includes(item)).flatMap(({ genres }) => genres),
    );
    const seen = new Set([...history, ...exclude]);
    const candidates = films
      .filter(({ item }) => !seen.has(item))
      .map(({ item, genres }) => ({
        item,
        shared: genres.filter((genre) => wanted.has(genre)).length,
      }))
      .sort((a, b) => b.shared - a.shared)
      .slice(0, k)
      .map(({ item }, at) => ({ item, logprob: -2 - at / 9 }));
    setTimeout(() => {
      response.statusCode = fault === 'failing' || fault === 'down' ? 503 : 200;
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ model: 'Example language model', ranking: 'language_model', candidates }),
      );
    }, MODEL_MS);
  });
}
