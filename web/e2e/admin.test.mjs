/**
 * The admin page of a real server with two releases: log-in, overview, catalogue, preview, activation,
 * refusal, roll-back, a server that stops, and accessibility. `tandem publish` sends the second release.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { launch } from './browser.mjs';
import { outputFile, programs } from './environment.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const run = promisify(execFile);

const ITEMS = 40;
const USERS = 60;
/** Time limit of the training, in minutes. */
const MINUTES = '0.05';
const DAY = 86_400_000;
/** Names of the copies of the trained release. */
const SECOND = '00000000000000aa';
const BROKEN = '00000000000000bb';

let folder;
let browser;
let server;
let keys;
/** Name of the trained release. */
let first;

const program = (name) => join(programs(), name);

/** Waits until `look` returns something. */
async function until(what, look) {
  for (let tries = 0; tries < 1_200; tries += 1) {
    const found = await look();
    if (found) return found;
    await wait(50);
  }
  return assert.fail(`timeout while waiting for ${what}`);
}

const id = (number) => `i${number % ITEMS}`;

async function train() {
  const titles = Array.from({ length: ITEMS }, (_, at) => `${id(at)},Lamp number ${at}`);
  const rows = ['user,item,timestamp'];
  for (let user = 0; user < USERS; user += 1) {
    for (let step = 0; step < 8; step += 1) {
      const at = Date.now() - 30 * DAY + step * DAY;
      rows.push(`u${user},${id(user * 3 + step * (1 + (user % 2)))},${Math.floor(at / 1_000)}`);
    }
  }
  await writeFile(join(folder, 'items.csv'), `item,title\n${titles.join('\n')}\n`);
  await writeFile(join(folder, 'clicks.csv'), `${rows.join('\n')}\n`);
  const files = ['--events', 'clicks.csv', '--catalogue', 'items.csv'];
  await run(program('tandem'), ['quickstart', ...files, '--out', 'made', '--minutes', MINUTES], {
    cwd: folder,
  });
  // The server has a folder of its own, as on another machine.
  first = (await readFile(join(folder, 'made/current'), 'utf8')).trim();
  await cp(join(folder, 'made'), join(folder, 'served'), { recursive: true });
  for (const [place, name] of [
    ['made', SECOND],
    ['served', BROKEN],
  ]) {
    await cp(join(folder, place, 'releases', first), join(folder, place, 'releases', name), {
      recursive: true,
    });
  }
  const model = join(folder, 'served/releases', BROKEN, 'language-model.gguf');
  await writeFile(model, (await readFile(model)).subarray(0, 2_000));
}

async function newKey(kind) {
  const options = ['keys', 'new', '--file', join(folder, 'keys.toml'), '--name', kind];
  const { stdout } = await run(program('cloud-server'), [...options, '--kind', kind]);
  return stdout.trim();
}

async function startServer(port = '0') {
  const portFile = join(folder, 'port');
  await rm(portFile, { force: true });
  const options = ['--release', 'served', '--keys', 'keys.toml', '--storage', 'shop.db'];
  const child = spawn(
    program('cloud-server'),
    [...options, '--store-events', '--port', port, '--port-file', portFile],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, RUST_LOG: 'off' },
    },
  );
  const text = await until('a port', () => readFile(portFile, 'utf8').catch(() => ''));
  const url = `http://127.0.0.1:${text.trim()}`;
  const ready = async () => (await fetch(`${url}/readyz`).catch(() => null))?.ok === true;
  await until('a server that is ready', ready);
  return { url, child, port: text.trim() };
}

const stopped = ({ child }) =>
  new Promise((done) => {
    child.once('exit', done);
    child.kill();
  });

/** Sends lists and events, as devices do. */
async function visit() {
  const post = (path, body) =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${keys.public}` },
      body: JSON.stringify(body),
    });
  for (const history of [['i3'], ['i3', 'i4'], ['i7'], []]) {
    assert.equal((await post('/v1/candidates', { history, k: 5 })).status, 200);
  }
  const event = (at, type) => ({ id: `e${at}`, type, item: id(at), at: Date.now() });
  const events = ['click', 'click', 'view', 'purchase'].map((type, at) => event(at, type));
  assert.equal((await post('/v1/events', { session: 's', events })).status, 200);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-admin-'));
  await train();
  keys = { admin: await newKey('admin'), public: await newKey('public') };
  [browser, server] = await Promise.all([launch(), startServer()]);
  await visit();
});

after(async () => {
  server?.child.kill();
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens the page in a new tab. */
async function inPage(play, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    // The browser itself reports answers such as 401.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) {
      faults.push(message.text());
    }
  });
  try {
    await page.goto(`${server.url}/admin`);
    await play(page);
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
  }
}

async function logIn(page) {
  await page.getByLabel('Admin key').fill(keys.admin);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

const open = async (page, view) => {
  await page.getByRole('link', { name: view, exact: true }).click();
  // The heading of the view before is there until the address has changed.
  await page.getByRole('heading', { level: 1, name: view }).waitFor();
};

/** The row of a release. */
const row = (page, name) =>
  page.locator('section', { hasText: 'On this server' }).getByRole('row', { name });

/** Waits for the outcome of an action. */
const says = (page, text) => page.locator('#outcome', { hasText: text }).waitFor();

async function agree(page, answer) {
  await page.getByRole('dialog').getByRole('button', { name: answer }).click();
}

test('only an admin key opens the page, and the key is forgotten with the tab', async () => {
  await inPage(async (page) => {
    for (const [key, message] of [
      ['tandem_admin_unknown', 'The server does not know this key.'],
      [keys.public, 'This is a public key. This page needs an admin key.'],
    ]) {
      await page.getByLabel('Admin key').fill(key);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByText(message).waitFor();
    }
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await logIn(page);
    await page.reload();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin key').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  });
});

test('the overview counts lists, and events and keys are shown', async () => {
  await inPage(async (page) => {
    await logIn(page);
    await page.getByText('the language model', { exact: true }).waitFor();
    const lists = page.locator('.tile', { has: page.getByRole('heading', { name: 'Lists' }) });
    assert.ok(Number(await lists.locator('.figure').textContent()) >= 4);
    await page
      .getByText('by popularity')
      .or(page.getByText('popularity', { exact: true }))
      .first()
      .waitFor();
    await open(page, 'Events');
    const events = page.getByRole('region', { name: 'Events by kind' });
    assert.match(await events.getByRole('row', { name: 'clicks' }).textContent(), /clicks2/);
    assert.match(await page.getByRole('region', { name: 'Database' }).textContent(), /events4/);
    await open(page, 'Keys');
    assert.equal(await page.getByRole('row').count(), 3);
    const listed = async (kind) =>
      page.getByRole('row').filter({ hasText: kind }).filter({ hasNotText: 'Kind' }).textContent();
    assert.match(await listed('programs and this page'), /adminadmin/);
    assert.match(await listed('pages of every origin'), /publicpublic/);
    const text = await page.locator('main').textContent();
    assert.ok(!text.includes(keys.admin) && !text.includes(keys.public));
  });
});

test('a search finds items, and a history has a preview', async () => {
  await inPage(async (page) => {
    await logIn(page);
    await open(page, 'Catalogue');
    await page.getByText('The history is empty').waitFor();
    await page.getByText('1 to 12 are shown').waitFor();
    await page.getByRole('button', { name: 'Next page of items' }).click();
    await page.getByText('13 to 24 are shown').waitFor();
    await page.getByRole('button', { name: 'Previous page of items' }).click();
    await page.getByText('1 to 12 are shown').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Previous page of items' }).isDisabled());
    await page.getByLabel('Search by words or id').fill('number 7');
    await page.getByText('1 of 40 items').waitFor();
    await page.getByRole('button', { name: 'Add Lamp number 7 to the history' }).click();
    await page.getByText('ordered by the model language-model').waitFor();
    const rows = page.getByRole('region', { name: 'Recommended items' }).getByRole('row');
    assert.equal(await rows.count(), 13);
    assert.ok(!(await rows.allTextContents()).some((text) => text.includes('Lamp number 7i7')));
    await page.getByRole('button', { name: 'Remove Lamp number 7 from the history' }).click();
    await page.getByText('by popularity').waitFor();
    await page.getByLabel('Search by words or id').fill('<img src=x onerror=alert(1)>');
    await page.getByText('No item has these words').waitFor();
  });
});

test('all views count the same items, and a deleted one is not called unavailable', async () => {
  const headers = { authorization: `Bearer ${keys.admin}`, 'content-type': 'text/csv' };
  const call = async (method, path, body) => {
    const response = await fetch(`${server.url}/v1/${path}`, { method, headers, body });
    assert.ok(response.ok, `${path}: ${response.status}`);
  };
  await call('POST', 'items', 'id,title\nadded,Lamp beside the catalogue\n');
  await call('DELETE', 'items/i8');
  await call('PUT', 'availability', 'id,available\ni9,no\n');
  await inPage(async (page) => {
    await logIn(page);
    await page.getByText('40 items (1 only in the database, 1 of the release deleted).').waitFor();
    await open(page, 'Catalogue');
    const state = async (title) => {
      await page.getByLabel('Search by words or id').fill(title);
      const found = page.getByRole('region', { name: 'Items', exact: true }).getByRole('row');
      await found.filter({ hasText: title }).waitFor();
      return found.filter({ hasText: title }).locator('.badge').allTextContents();
    };
    assert.deepEqual(await state('Lamp number 8'), ['deleted']);
    await page.getByText('0 of 40 items, 1 deleted').waitFor();
    assert.deepEqual(await state('Lamp number 9'), ['not available']);
    assert.deepEqual(await state('Lamp number 10'), []);
    await open(page, 'Events');
    assert.match(await page.getByRole('region', { name: 'Database' }).textContent(), /items40/);
  });
  await call('POST', 'items', 'id,title,available\ni8,Lamp number 8,yes\ni9,Lamp number 9,yes\n');
  await call('DELETE', 'items/added');
});

test('a published release is activated, a broken one refused, and both can be undone', async () => {
  const env = { ...process.env, TANDEM_KEY: keys.admin };
  const publish = ['publish', '--out', 'made', '--release', SECOND, '--to', server.url];
  const { stdout } = await run(program('tandem'), publish, { cwd: folder, env });
  assert.match(stdout, new RegExp(`release ${SECOND} is in use on .*, in place of ${first}`));
  const refused = run(program('tandem'), publish, {
    cwd: folder,
    env: { ...env, TANDEM_KEY: 'x' },
  });
  await assert.rejects(refused, ({ code, stderr }) => code === 2 && /refused the key/.test(stderr));
  await inPage(async (page) => {
    await logIn(page);
    await open(page, 'Releases');
    await row(page, SECOND).getByText('in use').waitFor();

    await page.getByRole('button', { name: `Activate release ${BROKEN}` }).click();
    await agree(page, 'Activate');
    await page.locator('#outcome.bad').waitFor();
    await page.locator('.problem', { hasText: /was refused at .*language-model\.gguf/ }).waitFor();
    await row(page, BROKEN).getByText('refused').waitFor();
    await row(page, SECOND).getByText('in use').waitFor();

    await page.getByRole('button', { name: `Roll back to ${first}` }).click();
    await agree(page, 'Cancel');
    await row(page, SECOND).getByText('in use').waitFor();
    await page.getByRole('button', { name: `Roll back to ${first}` }).click();
    await agree(page, 'Roll back');
    await says(page, `Release ${first} is in use.`);
    await row(page, first).getByText('in use').waitFor();
    assert.equal((await readFile(join(folder, 'served/current'), 'utf8')).trim(), first);

    await page.getByRole('button', { name: `Activate release ${SECOND}` }).click();
    await agree(page, 'Activate');
    await says(page, `Release ${SECOND} is in use.`);
    await page.getByRole('button', { name: `Delete release ${BROKEN}` }).click();
    await agree(page, 'Delete');
    await says(page, `Release ${BROKEN} was deleted.`);
    await row(page, BROKEN).waitFor({ state: 'detached' });
  });
});

for (const colorScheme of ['light', 'dark']) {
  for (const [size, width] of [
    ['wide', 1280],
    ['narrow', 375],
  ]) {
    test(`axe finds nothing and nothing overflows: ${colorScheme}, ${size}`, async () => {
      const options = { colorScheme, reducedMotion: 'reduce', bypassCSP: true };
      await inPage(
        async (page) => {
          await page.addScriptTag({ path: axe });
          await clean(page, 'login', `${colorScheme}-${size}`);
          await logIn(page);
          for (const view of ['Overview', 'Releases', 'Catalogue', 'Events', 'Keys']) {
            await open(page, view);
            await page.locator('main section').first().waitFor();
            await page.waitForTimeout(500);
            await clean(page, view, `${colorScheme}-${size}`);
          }
        },
        { ...options, viewport: { width, height: 900 } },
      );
    });
  }
}

async function clean(page, where, kind) {
  await page.screenshot({
    path: outputFile(`admin-${where.toLowerCase()}-${kind}.png`),
    fullPage: true,
  });
  const violations = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'],
    });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
  assert.deepEqual(violations, [], where);
  const overflow = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
  assert.ok(overflow <= 0, `${where} is ${overflow} pixels too wide`);
  // A part of a table beyond the edge is not noticed where scroll bars are hidden.
  const hidden = await page.evaluate(() =>
    [...document.querySelectorAll('main .scroll')]
      .filter((part) => part.scrollWidth > part.clientWidth)
      .map((part) => part.getAttribute('aria-label')),
  );
  assert.deepEqual(hidden, [], where);
}

test('a server that stops is reported, and found again', async () => {
  await inPage(async (page) => {
    await logIn(page);
    await stopped(server);
    await page.getByText('The server does not answer.').waitFor({ timeout: 30_000 });
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    // Views that ask nothing of the server do not make what is shown newer.
    const banner = await page.locator('#gone').textContent();
    await page.getByRole('link', { name: 'Catalogue' }).click();
    await page.getByRole('heading', { name: 'Catalogue' }).waitFor();
    await wait(1_500);
    assert.equal(await page.locator('#gone').textContent(), banner);
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByRole('heading', { name: 'Language models' }).waitFor();
    server = await startServer(server.port);
    await page
      .getByText('The server does not answer.')
      .waitFor({ state: 'hidden', timeout: 30_000 });
  });
});
