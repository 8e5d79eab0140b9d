import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';
import { type ResultRow, summarise } from '../src/evidence/summary.ts';

const FILE = 'results.json';

/** `results.json` of the evidence page: the means of all files in `docs/results`. */
export function results(folder: string): Plugin {
  const content = (): string =>
    JSON.stringify(
      readdirSync(folder)
        .filter((file) => file.endsWith('.json'))
        .sort()
        .flatMap((file) =>
          summarise(file, JSON.parse(readFileSync(join(folder, file), 'utf8')) as ResultRow[]),
        ),
    );
  return {
    name: 'tandem:results',
    configureServer(server) {
      server.middlewares.use(`/${FILE}`, (_, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(content());
      });
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: FILE, source: content() });
    },
  };
}
