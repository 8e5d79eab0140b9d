/** Lays the page and the package side by side into `dist`, ready for any static server. */
import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const client = dirname(fileURLToPath(import.meta.resolve('@tandem-rec/client/package.json')));
cpSync('src', 'dist', { recursive: true });
for (const folder of ['dist', 'wasm']) {
  cpSync(join(client, folder), join('dist/tandem', folder), { recursive: true });
}
