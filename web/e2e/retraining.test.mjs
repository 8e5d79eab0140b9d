/**
 * From clicks in a browser to a new release in the same page: `tandem quickstart` makes a shop,
 * visitors click, the server logs, `tandem retrain` learns, the server switches, the page ranks.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { launch } from './browser.mjs';
import { programs } from './environment.mjs';
import { servePackage, Visitor } from './package-page.mjs';

const ITEMS = 40;
const USERS = 80;
/** An item that the first catalogue lacks. */
const NOVELTY = 'novelty';
/** Visitors who click on the new item. The one in the browser does not: it would not be shown. */
const OTHERS = 60;
/** Time limit of a training, in minutes. */
const MINUTES = '0.1';
const DAY = 86_400_000;

const run = promisify(execFile);
let folder;
let browser;
let site;
let server;

/** Runs `tandem` in the folder of the shop; returns what it prints. */
async function tandem(...args) {
  const { stdout } = await run(join(programs(), 'tandem'), args, { cwd: folder });
  return stdout;
}

const id = (number) => `i${number % ITEMS}`;
const catalogue = (items) =>
  `item,title\n${items.map((item) => `${item},Item ${item}`).join('\n')}\n`;

/** Users who walk through the items, one each day. */
function log() {
  const rows = ['user,item,timestamp'];
  for (let user = 0; user < USERS; user += 1) {
    for (let step = 0; step < 8; step += 1) {
      const at = Date.now() - 30 * DAY + step * DAY;
      rows.push(`u${user},${id(user * 3 + step * (1 + (user % 2)))},${Math.floor(at / 1_000)}`);
    }
  }
  return `${rows.join('\n')}\n`;
}

/** A server on a free port that follows the releases and logs events. */
async function startServer() {
  const portFile = join(folder, 'port');
  const options = ['--release', 'shop', '--events', 'log', '--host', '127.0.0.1', '--port', '0'];
  const child = spawn(
    join(programs(), 'cloud-server'),
    [...options, '--port-file', portFile, '--allow-origin', site.url],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, RUST_LOG: 'warn' },
    },
  );
  const text = await until('a port', () => readFile(portFile, 'utf8').catch(() => ''));
  const url = `http://127.0.0.1:${text.trim()}`;
  const ready = async () => (await fetch(`${url}/readyz`).catch(() => null))?.ok === true;
  await until('a server that is ready', ready);
  return { url, child };
}

/** Waits until `look` returns something. */
async function until(what, look) {
  for (let tries = 0; tries < 1_200; tries += 1) {
    const found = await look();
    if (found) return found;
    await wait(50);
  }
  return assert.fail(`timeout while waiting for ${what}`);
}

const release = async () => (await fetch(`${server.url}/v1/manifest`)).headers.get('x-artifacts');

async function loggedEvents() {
  const text = await readFile(join(folder, 'log/interactions.jsonl'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** Sends events as the package of another visitor would. */
async function visit(session, items) {
  const now = Date.now();
  const events = items.map((item, at) => ({
    id: `${session}-${at}`,
    type: 'click',
    item,
    at: now - 1_000 * (items.length - at),
  }));
  const response = await fetch(`${server.url}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ session, events }),
  });
  assert.equal(response.status, 200);
  return response.json();
}

/** Requests lists until it is stopped; returns the statuses that were not 200, and the number. */
function steadyRequests() {
  const answers = { failed: [], count: 0 };
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      const response = await fetch(`${server.url}/v1/candidates`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ history: [id(answers.count)], k: 5 }),
      });
      if (!response.ok) answers.failed.push(response.status);
      await response.arrayBuffer();
      answers.count += 1;
      await wait(20);
    }
  })();
  return async () => {
    stopped = true;
    await loop;
    return answers;
  };
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-retraining-'));
  const items = Array.from({ length: ITEMS }, (_, number) => id(number));
  await writeFile(join(folder, 'items.csv'), catalogue(items));
  await writeFile(join(folder, 'clicks.csv'), log());
  const files = ['--events', 'clicks.csv', '--catalogue', 'items.csv'];
  await tandem('quickstart', ...files, '--out', 'shop', '--minutes', MINUTES);
  [browser, site] = await Promise.all([launch(), servePackage()]);
  server = await startServer();
});

after(async () => {
  server?.child.kill();
  await browser?.close();
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

test('clicks in a browser become a release that the same page ranks by', async (t) => {
  const begun = Date.now();
  const reached = (what) => t.diagnostic(`${((Date.now() - begun) / 1_000).toFixed(1)} s: ${what}`);
  const visitor = await Visitor.arrive(browser, site);
  const tab = await visitor.tab();
  const open = () => tab.open({ server: server.url, events: true, consent: true, device: 'cpu' });
  await open();
  await tab.listed();
  const shown = async () => (await tab.call('recommend', { k: ITEMS })).items.map((it) => it.item);
  assert.ok(!(await shown()).includes(NOVELTY));
  reached('the page has a list');

  // Several pages, each left by the click.
  const clicked = ['i3', 'i4', 'i5', 'i6'];
  for (const [page, item] of clicked.entries()) {
    const { recommendation } = await tab.call('recommend');
    await Promise.all([
      tab.page.waitForURL(`**/?page${page}`),
      tab.page.evaluate(
        ([event, address]) => {
          window.rec.track(event).catch(() => undefined);
          location.href = address;
        },
        [{ type: 'click', item, recommendation }, `/?page${page}`],
      ),
    ]);
    await tab.until('window.loaded === true');
    await open();
  }
  const own = await until('the events of the visitor', async () => {
    const events = await loggedEvents();
    return events.length >= clicked.length ? events : null;
  });
  assert.deepEqual(own.map(({ item }) => item).sort(), [...clicked].sort());
  assert.ok(own.every(({ recommendation }) => /^[a-z0-9]+$/.test(recommendation)));
  const { visitor: name } = await tab.state();
  assert.deepEqual(new Set(own.map(({ user }) => user)), new Set([name]));
  const exported = await tab.page.evaluate(async () =>
    JSON.parse(new TextDecoder().decode(await window.rec.exportPersonalData())),
  );
  assert.equal(exported.visitor, name);
  reached('the clicks of four pages are in the log, under the name that the page knows');

  for (let other = 0; other < OTHERS; other += 1) {
    const items = [0, 1, 2, 3, 4].map((step) => id(other + step));
    // The new item is trained on with half of them, and is the test of the other half.
    items.splice(other % 2 === 0 ? 2 : items.length, 0, NOVELTY);
    const counts = await visit(`other-${other}`, items);
    assert.deepEqual(counts, { accepted: items.length, repeated: 0, unknown: 1 });
  }
  await visit('leaver', ['i1', 'i2', 'i3', 'i4']);
  const forgotten = await fetch(`${server.url}/v1/users/leaver`, { method: 'DELETE' });
  assert.deepEqual(await forgotten.json(), { removed: 4 });

  const before = await release();
  reached(`${OTHERS} more visitors are in the log`);
  const stop = steadyRequests();
  const said = await tandem(
    'retrain',
    ...['--out', 'shop', '--events', 'clicks.csv', 'log', '--minutes', MINUTES],
  );
  assert.match(said, /release [0-9a-f]{16} is in use/);
  const next = await until('the new release', async () => {
    const found = await release();
    return found === before ? null : found;
  });
  reached('the server has the new release');
  const answers = await stop();
  assert.deepEqual(answers.failed, []);
  assert.ok(answers.count > 0);
  reached(`${answers.count} requests meanwhile, all of them answered`);

  // The page was open all the time: its next list tells it of the new catalogue.
  await tab.until('window.rec.state().status === "ready"');
  await tab.call('useModel', null);
  await tab.until(
    `window.seen.some(({ name, payload }) => name === 'update' && payload.cause === 'catalogue')`,
    60_000,
  );
  reached('the page has the new release');
  // All the others clicked on the new item.
  await tab.click('i20');
  await tab.until(
    `window.rec.state().history.at(-1) === 'i20' && window.rec.state().connection.state === 'online'`,
  );
  await until('the new item among the first ten', async () =>
    (await shown()).slice(0, 10).includes(NOVELTY),
  );
  reached('the page recommends the new item');
  const requested = (await tab.call('ledger')).entries.map(({ url }) => url);
  assert.ok(requested.some((url) => url.includes(`/artifacts/${next}/`)));
  assert.deepEqual(visitor.faults, []);
  await visitor.leave();
});
