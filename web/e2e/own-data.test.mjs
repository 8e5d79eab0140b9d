/** A visitor's own files: dropped on the page, trained on this machine, and shown as a shop. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { ownDataServer } from '../own/server.mjs';
import { launch } from './browser.mjs';
import { outputFile, programs, siteFolder } from './environment.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

const ITEMS = 40;
const USERS = 80;
const DAY = 86_400;
/** Time limit of both trainings together, in minutes. */
const MINUTES = '0.1';
const TRAINING_MS = 180_000;

let browser;
let server;
before(async () => {
  browser = await launch();
  server = await ownDataServer({ programs: programs(), site: siteFolder(), minutes: MINUTES });
});
after(async () => {
  await browser?.close();
  await server?.close();
});

const file = (name, lines) => ({
  name,
  mimeType: 'text/csv',
  buffer: Buffer.from(`${lines.join('\n')}\n`),
});

/** Users who walk through the items, one each day. */
function log(badRows = 0) {
  const rows = ['user,item,timestamp,agent'];
  for (let user = 0; user < USERS; user += 1) {
    for (let step = 0; step < 8; step += 1) {
      const item = (user * 3 + step * (1 + (user % 2))) % ITEMS;
      rows.push(`u${user},i${item},${1_700_000_000 + step * DAY},x`);
    }
  }
  for (let bad = 0; bad < badRows; bad += 1) rows.push(`u${bad},i${bad},yesterday,x`);
  return file('clicks.csv', rows);
}

const catalogue = () =>
  file('items.csv', [
    'item,title,category',
    ...Array.from({ length: ITEMS }, (_, at) => `i${at},Article ${at},Group ${at % 4}`),
  ]);

async function onPage(play, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 1000 },
    reducedMotion: 'reduce',
    bypassCSP: options.axe === true,
  });
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !options.refusals) faults.push(message.text());
  });
  try {
    await page.goto(server.url);
    if (options.axe) await page.addScriptTag({ path: axe });
    await play(page);
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
  }
}

async function choose(page, events, items) {
  await page.getByTestId('file-events').setInputFiles(events);
  if (items !== undefined) await page.getByTestId('file-items').setInputFiles(items);
  await page.getByTestId('train').click();
}

async function clean(page, where) {
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'],
    });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
  assert.deepEqual(found, [], where);
}

async function pictures(page, name) {
  const before = page.viewportSize();
  for (const [width, size] of [
    ['wide', { width: 1440, height: 1000 }],
    ['narrow', { width: 390, height: 844 }],
  ]) {
    await page.setViewportSize(size);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const path = outputFile(`own-${name}-${width}-${colorScheme}.png`);
      await page.screenshot({ path, fullPage: true, animations: 'disabled' });
      if (await page.evaluate(() => 'axe' in window)) await clean(page, `${name} ${colorScheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  await page.setViewportSize(before);
}

/** A request to the local server as another program or page would send it. */
function ask(path, { method = 'POST', token = server.token, headers = {} } = {}) {
  return fetch(`${server.url}/api/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
}

test('requests without the token, or of another origin, are refused', async () => {
  const refused = [
    [await ask('start', { token: '' }), 401, 'wrong_token'],
    [await ask('start', { token: 'x'.repeat(server.token.length) }), 401, 'wrong_token'],
    [await ask('start', { headers: { origin: 'https://evil.example' } }), 403, 'wrong_origin'],
    [await ask('progress', { method: 'GET', token: '' }), 401, 'wrong_token'],
    [await ask('start'), 400, 'no_events'],
    [await ask('elsewhere'), 404, 'not_found'],
  ];
  for (const [response, status, code] of refused) {
    assert.equal(response.status, status);
    assert.equal(response.headers.get('access-control-allow-origin'), null);
    assert.equal((await response.json()).code, code);
  }
  // A page of another site cannot even send the token: the preflight is not answered.
  const preflight = await ask('start', {
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
  });
  assert.equal(preflight.ok, false);
});

test('under another host name nothing is served, and no file outside the site', async () => {
  const { request } = await import('node:http');
  const status = (headers, path) =>
    new Promise((resolve, reject) => {
      const { port } = new URL(server.url);
      request({ host: '127.0.0.1', port, path, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  assert.equal(await status({ host: 'rebound.example' }, '/own.html'), 421);
  assert.equal(await status({}, '/%2e%2e/package.json'), 404);
  assert.equal(await status({}, '/own.html'), 200);
});

test('a file above the limit is refused, and none of it is kept', async () => {
  const small = await ownDataServer({ programs: programs(), site: siteFolder(), maxBytes: 100 });
  try {
    const response = await fetch(`${small.url}/api/events?name=../../clicks.csv`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${small.token}` },
      body: 'x'.repeat(1000),
    });
    assert.equal(response.status, 413);
    assert.equal((await response.json()).code, 'too_large');
    const start = await fetch(`${small.url}/api/start`, {
      method: 'POST',
      headers: { authorization: `Bearer ${small.token}` },
    });
    assert.equal(start.status, 400);
  } finally {
    await small.close();
  }
  await assert.rejects(stat(small.folder), { code: 'ENOENT' });
});

test('files that cannot be used are refused with the reason', async () => {
  await onPage(
    async (page) => {
      await pictures(page, 'empty');
      const wrong = file('clicks.csv', ['colour,shape', 'red,round', 'blue,square']);
      await choose(page, wrong);
      const failure = page.getByTestId('own-failure');
      await failure.waitFor({ timeout: TRAINING_MS });
      assert.match(await failure.textContent(), /These files cannot be used.*user/s);
      await pictures(page, 'refused');
      // Many bad rows are refused as well, and the first ones are named.
      await choose(page, log(100), catalogue());
      await page.getByText('yesterday').first().waitFor({ timeout: TRAINING_MS });
      assert.match(await failure.textContent(), /line 642/);
    },
    { axe: true },
  );
});

test('dropped files train a shop that follows clicks; bad rows are listed', async () => {
  await onPage(
    async (page) => {
      // In the wrong order: the page tells them apart.
      const dropped = [catalogue(), log(3)].map(({ name, buffer }) => [name, buffer.toString()]);
      await page.evaluate((files) => {
        const data = new DataTransfer();
        for (const [name, text] of files) data.items.add(new File([text], name));
        document
          .querySelector('[data-testid="drop-zone"]')
          .dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
      }, dropped);
      await page.getByTestId('chosen-events').getByText('clicks.csv').waitFor();
      await page.getByTestId('chosen-items').getByText('items.csv').waitFor();
      await page.getByTestId('train').click();

      const bad = page.getByTestId('bad-rows');
      await bad.waitFor({ timeout: TRAINING_MS });
      assert.match(await bad.textContent(), /Rows that could not be read \(3\)/);
      assert.match(await bad.textContent(), /\)clicks\.csv, line 642: .*yesterday/);
      assert.match(await page.getByTestId('unused').textContent(), /clicks\.csv: agent/);
      await pictures(page, 'training');
      // A second training at the same time is refused, and a reloaded page finds the first one.
      assert.equal((await ask('start')).status, 409);
      await page.reload();
      await page.addScriptTag({ path: axe });

      const card = page.getByTestId('card');
      await card.first().waitFor({ timeout: TRAINING_MS });
      await page.getByTestId('files').locator('> summary').click();
      assert.match(await page.getByTestId('quality').textContent(), /both together/);
      assert.match(await page.getByTestId('bad-rows').textContent(), /yesterday/);
      assert.equal(
        await page.getByTestId('about').textContent(),
        `${ITEMS} products, trained by tandem quickstart.`,
      );
      const item = await card.first().getAttribute('data-item');
      await card.first().click();
      await page.getByText(/Re-ranked in/).waitFor();
      const shelf = await card.evaluateAll((cards) => cards.map((one) => one.dataset.item));
      assert.ok(shelf.length > 0 && !shelf.includes(item), shelf.join());
      await pictures(page, 'ready');
    },
    { axe: true },
  );
});
