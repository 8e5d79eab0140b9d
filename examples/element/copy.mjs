/** Copies the page and the package into `dist`, for any static file server. */
import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const client = dirname(fileURLToPath(import.meta.resolve('@tandem-rec/client/package.json')));
cpSync('src', 'dist', { recursive: true });
for (const folder of ['dist', 'wasm']) {
  cpSync(join(client, folder), join('dist/tandem', folder), { recursive: true });
}
