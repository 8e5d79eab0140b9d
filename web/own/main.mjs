/**
 * `node web/own/main.mjs --programs FOLDER --site FOLDER [--port N] [--port-file FILE]
 * [--first-shop URL] [--minutes N]`: serves the page for a visitor's own files until it is stopped.
 * `cargo xtask demo` starts it.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { ownDataServer } from './server.mjs';

const text = { type: 'string' };
const { values } = parseArgs({
  options: {
    programs: text,
    site: text,
    port: { type: 'string', default: '0' },
    'port-file': text,
    'first-shop': text,
    minutes: text,
  },
});
const { programs, site, minutes = null } = values;
if (programs === undefined || site === undefined) {
  throw new Error('expected --programs and --site');
}
const server = await ownDataServer({
  programs,
  site,
  port: Number(values.port),
  firstShop: values['first-shop'] ?? null,
  minutes,
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => void server.close().then(() => process.exit(0)));
}
if (values['port-file'] !== undefined) {
  await writeFile(values['port-file'], `${new URL(server.url).port}\n`);
}
console.error(`own data: ${server.url}`);
