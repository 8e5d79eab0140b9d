/**
 * `node web/static-site/lists.mjs --server URL --out FOLDER [--popular N]`: asks a running
 * `cloud-server` for everything that a site without a server needs, and writes it below
 * `FOLDER/artifacts/<hash>`: manifest, artefacts, models, status, and candidate lists for the empty
 * history, for each item, and for the pairs that visitors are most likely to click first. The last
 * line of its output is the name of the folder.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

/** Requests at the same time. */
const AT_ONCE = 4;
/** Tries of one request; a server with a full queue refuses it. */
const TRIES = 20;

const { values } = parseArgs({
  options: {
    server: { type: 'string' },
    out: { type: 'string' },
    // Pairs: each of the first items that a new visitor sees with each of those seen next.
    popular: { type: 'string', default: '20' },
  },
});
const { server, out } = values;
if (server === undefined || out === undefined) throw new Error('expected --server and --out');
const popular = Number(values.popular);

/** As in `web/src/static-site/static-server.ts`. */
const keyOf = (history) =>
  createHash('sha256').update(JSON.stringify(history)).digest('hex').slice(0, 16);

async function get(path) {
  const response = await fetch(`${server}/${path}`);
  if (!response.ok) throw new Error(`${path}: HTTP status ${response.status}`);
  return response;
}

async function listFor(history) {
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(`${server}/v1/candidates`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ history }),
    });
    if (response.ok) return response.json();
    if (tries === TRIES) throw new Error(`v1/candidates: HTTP status ${response.status}`);
    await response.arrayBuffer();
    await new Promise((later) => setTimeout(later, 250 * tries));
  }
}

const manifestResponse = await get('v1/manifest');
const release = manifestResponse.headers.get('x-artifacts');
const manifestBytes = Buffer.from(await manifestResponse.arrayBuffer());
const manifest = JSON.parse(manifestBytes.toString());
const folder = join(out, 'artifacts', release);

async function write(name, content) {
  const file = join(folder, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

/** Every file that the manifest names, at any depth. */
function paths(value) {
  if (typeof value !== 'object' || value === null) return [];
  const own =
    typeof value.path === 'string' && typeof value.sha256 === 'string' ? [value.path] : [];
  return [...own, ...Object.values(value).flatMap(paths)];
}

await write('manifest.json', manifestBytes);
for (const path of new Set(paths(manifest))) {
  const file = await get(`artifacts/${release}/${path}`);
  await write(path, Buffer.from(await file.arrayBuffer()));
}
const items = JSON.parse(
  await (await get(`artifacts/${release}/${manifest.items.path}`)).text(),
).map(({ item }) => item);

// Lists of other language models are not made, so the page must not offer them.
const { models } = await (await get('v1/models')).json();
await write('models.json', JSON.stringify({ models: models.slice(0, 1) }));
const status = await (await get('v1/status')).json();
const { notice = null } = status;
await write('status.json', JSON.stringify({ language_model: { name: models[0].name }, notice }));

const lists = new Map();
async function make(histories) {
  const queue = histories.filter((history) => !lists.has(keyOf(history)));
  const worker = async () => {
    for (let history = queue.pop(); history !== undefined; history = queue.pop()) {
      const list = await listFor(history);
      const candidates = list.candidates.map(({ item, logprob }) => ({ item, logprob }));
      lists.set(keyOf(history), { ...list, candidates });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
await make([[], ...items.map((item) => [item])]);
const firstSeen = lists.get(keyOf([])).candidates.slice(0, popular);
await make(
  firstSeen.flatMap(({ item }) =>
    lists
      .get(keyOf([item]))
      .candidates.slice(0, popular)
      .map((next) => [item, next.item]),
  ),
);
for (const [key, { model, catalogue_hash, ranking, candidates }] of lists) {
  const list = { model, catalogue_hash, ranking, candidates };
  await write(`lists/${key}.json`, JSON.stringify(list));
}
// Every item has a list, so only those of several items are named.
const single = new Set([[], ...items.map((item) => [item])].map(keyOf));
const keys = [...lists.keys()].filter((key) => !single.has(key));
await write('lists/index.json', JSON.stringify({ longest: 2, keys }));
console.error(`${lists.size} lists by ${models[0].name}`);
console.log(release);
