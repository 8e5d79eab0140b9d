/** The site without a server: plain files below a path of a host that knows nothing of Tandem. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { extname, join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { outputFile, siteFolder } from './environment.mjs';
import { ShopPage } from './shop-page.mjs';
import { layoutShift, overflow, PHONE, slowPhone } from './slow-phone.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** As a project page of GitHub Pages. */
const PATH = '/tandem/';
const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

let browser;
let host;
let url;
before(async () => {
  browser = await launch();
  host = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1');
    const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
    const file = name.startsWith(PATH)
      ? join(siteFolder(), normalize(name.slice(PATH.length)))
      : '';
    const body = request.method === 'GET' ? await readFile(file).catch(() => null) : null;
    if (body === null) return response.writeHead(404).end('not found');
    const type = TYPES[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise((ready) => host.listen(0, '127.0.0.1', ready));
  url = `http://127.0.0.1:${host.address().port}${PATH}`;
});
after(async () => {
  await browser?.close();
  host?.closeAllConnections();
  host?.close();
});

/** A visit; every request must be answered, and none may leave the path. */
async function visit(play, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 1000 },
    reducedMotion: 'reduce',
    ...options,
  });
  const shop = new ShopPage(await context.newPage());
  const asked = [];
  const wrong = [];
  context.on('response', (response) => {
    asked.push(response.url());
    if (!response.ok() || !response.url().startsWith(url)) {
      wrong.push(`${response.status()} ${response.url()}`);
    }
  });
  context.on('requestfailed', (request) => {
    const { errorText } = request.failure() ?? {};
    // A page that is left takes its requests with it.
    if (errorText !== 'net::ERR_ABORTED') wrong.push(`${errorText} ${request.url()}`);
  });
  try {
    await play(shop, asked);
    assert.deepEqual([...wrong, ...shop.faults], []);
  } finally {
    await shop.close();
  }
}

async function clean(page) {
  await page.addScriptTag({ path: axe });
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'],
    });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
  assert.deepEqual(found, []);
}

test('the film shop recommends from lists made in advance, and searches for the rest', async () => {
  await visit(async (shop, asked) => {
    await shop.page.goto(url);
    await shop.ready();
    await shop.page.getByTestId('without-server').waitFor();
    assert.equal(await shop.part('toggle-compare').isVisible(), false);
    const seen = [];
    for (let click = 0; click < 6; click += 1) {
      const shelf = await shop.shelf();
      assert.ok(shelf.length > 0);
      assert.ok(seen.every((item) => !shelf.includes(item)));
      const item = shelf[click % 3];
      seen.push(item);
      const { update } = await shop.watch(item);
      assert.deepEqual(update.history, seen);
      assert.equal(update.connection.state, 'online');
    }
    const { model, ranking, stats } = await shop.lastUpdate();
    assert.equal(ranking, 'language_model');
    assert.equal(model, 'MovieLens-items');
    assert.ok(stats.calls > 0);
    assert.ok(asked.some((address) => /\/lists\/[0-9a-f]{16}\.json$/.test(address)));
    await shop.part('details').first().click();
    await shop.page.locator('[data-testid="similar-card"]').first().waitFor();
    await shop.page.keyboard.press('Escape');
    await shop.screenshots('static-site');
  });
});

test('the shop of products filters and recommends', async () => {
  await visit(async ({ page }) => {
    await page.goto(`${url}goods.html`);
    const card = page.getByTestId('card');
    await card.first().waitFor({ timeout: 60_000 });
    const item = await card.first().getAttribute('data-item');
    await card.first().click();
    await page.getByText(/Re-ranked in/).waitFor();
    await page.waitForFunction(
      (clicked) => document.querySelector(`[data-testid="card"][data-item="${clicked}"]`) === null,
      item,
    );
    await page.getByTestId('category').first().click();
    await card.first().waitFor();
    await page.screenshot({ path: outputFile('static-goods.png'), fullPage: true });
  });
});

test('the layout of the shop of products is stable on a slow phone', async () => {
  await visit(async ({ page }) => {
    await page.setViewportSize(PHONE);
    await slowPhone(page);
    await page.goto(`${url}goods.html`);
    await page.getByTestId('card').first().waitFor({ timeout: 60_000 });
    await page.waitForTimeout(2000);
    const shift = await layoutShift(page);
    assert.ok(shift < 0.05, `cumulative layout shift ${shift}`);
    assert.equal(await overflow(page), 0);
  });
});

test('links stay below the path', async () => {
  await visit(async ({ page }) => {
    for (const start of ['', 'goods.html', 'evidence.html']) {
      await page.goto(url + start);
      await page.locator('a').first().waitFor();
      const addresses = await page
        .locator('a')
        .evaluateAll((links) => links.map(({ href }) => href.replace(/#.*/, '')));
      for (const address of new Set(addresses)) {
        if (!address.startsWith('http://127.0.0.1')) continue;
        assert.ok(address.startsWith(url), `${start}: ${address}`);
        assert.equal((await fetch(address)).status, 200, `${start}: ${address}`);
      }
    }
  });
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing in ${colorScheme} colours`, async () => {
    await visit(
      async (shop) => {
        await shop.page.goto(url);
        await shop.ready();
        await shop.watch((await shop.shelf())[0]);
        await clean(shop.page);
      },
      { colorScheme },
    );
  });
}
