/** The demo as a shop: stable layout, comparison, film page, data, keyboard, accessibility. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { serverUrl } from './environment.mjs';
import { ShopPage } from './shop-page.mjs';
import { layoutShift, overflow, PHONE, slowPhone } from './slow-phone.mjs';
// Part of the same step: the controls of the drawer.
import './internals.test.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function inShop(play, options = {}) {
  const { prepare = async () => {}, ...context } = options;
  const shop = new ShopPage(
    await (
      await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...context })
    ).newPage(),
  );
  try {
    await prepare(shop);
    await shop.page.goto(serverUrl());
    await play(shop);
    assert.deepEqual(shop.faults, []);
  } finally {
    await shop.close();
  }
}

test('popular films are there before the small model, and clicks on them count', async () => {
  let release = () => {};
  const held = new Promise((done) => {
    release = done;
  });
  await inShop(
    async (shop) => {
      const first = shop.card().first();
      await first.waitFor();
      const item = await first.getAttribute('data-item');
      await first.click();
      assert.deepEqual(await shop.events(), []);
      release();
      const update = await shop.event('update', { like: { cause: 'event' } });
      assert.deepEqual(update?.payload.history, [item]);
    },
    {
      prepare: (shop) =>
        shop.page.route('**/tandem_bg*.wasm', async (route) => {
          await held;
          await route.continue();
        }),
    },
  );
});

test('a double click counts once', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.card().first().dblclick();
    await shop.event('update', { like: { cause: 'event' } });
    await shop.page.waitForTimeout(400);
    const clicks = (await shop.events()).filter(
      ({ name, payload }) => name === 'update' && payload.cause === 'event',
    );
    assert.equal(clicks.length, 1);
  });
});

test('both sides get the same clicks, and the strip says what happened', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.watch((await shop.shelf())[0]);
    await shop.page.getByText(/Answered after/).waitFor({ timeout: 30_000 });
    assert.match(await shop.part('strip-rerank').textContent(), /Re-ranked in (< )?[\d.]+ ms/);
    assert.notEqual(await shop.part('strip-decision').textContent(), '');
    assert.equal(await shop.part('cloud-calls').textContent(), '2');
    const cloud = shop.page.locator('[data-testid="cloud-card"]');
    assert.equal(await cloud.count(), 8);
    const dots = shop.page.getByRole('img', {
      name: /^Tandem called the cloud at [01] of 1 click$/,
    });
    assert.equal(await dots.count(), 1);
  });
});

test('the tour shows both sides, then clicks without a network, and stops for the visitor', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    // The server is on this machine.
    await shop.page.getByText('real + 400 ms (simulated)').waitFor();
    await shop.part('tour').click();
    await shop.page.getByText('Tandem still follows every click').waitFor({ timeout: 60_000 });
    assert.equal(await shop.part('race-cloud').textContent(), 'no network');
    assert.match(await shop.part('race-tandem').textContent(), /^[\d.]+ ms$/);
    await shop.page.getByText('Your turn').waitFor({ timeout: 30_000 });
    assert.equal(await shop.part('status-connection').getAttribute('data-state'), 'online');
    const played = (await shop.lastUpdate()).history;
    assert.equal(played.length, 9);

    await shop.part('tour').click();
    await shop.page.getByText(/^A click on/).waitFor();
    await shop.card().last().click();
    await shop.page.getByText('Show me in 10 seconds').waitFor();
    await shop.page.waitForTimeout(2000);
    assert.equal((await shop.lastUpdate()).history.length, played.length + 1);
  });
});

test('the time of both sides to the new list is that of the last click', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.part('delay').fill('1000');
    await shop.watch((await shop.shelf())[0]);
    await shop.page.waitForTimeout(500);
    await shop.watch((await shop.shelf())[0]);
    await shop
      .part('race-verdict')
      .getByText(/\d+ × sooner/)
      .waitFor({ timeout: 30_000 });
    const ms = async (part) => {
      const [, value, unit] = /^([\d.]+) (ms|s)$/.exec(await shop.part(part).textContent());
      return Number(value) * (unit === 's' ? 1000 : 1);
    };
    const [device, cloud] = [await ms('race-tandem'), await ms('race-cloud')];
    assert.ok(cloud >= 950 && device < cloud, `${device} ms and ${cloud} ms`);
  });
});

test('in airplane mode Tandem goes on and the cloud-only list stays', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.watch((await shop.shelf())[0]);
    await shop.part('toggle-offline').click();
    await shop.event('update', { like: { cause: 'connection' } });
    const { update } = await shop.watch((await shop.shelf())[1]);
    assert.ok(update.items.length > 0);
    assert.match(await shop.part('cloud-state').textContent(), /No network/);
  });
});

test('after one visit the shop opens, ranks and learns without a network', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.page.evaluate(async () => {
      await navigator.serviceWorker.ready;
      // Activated before its cache is complete would be of no use.
      const names = await caches.keys();
      if (!names.includes('tandem-films-artifacts')) throw new Error(`only ${names}`);
    });
    await shop.page.context().setOffline(true);
    await shop.page.reload();
    await shop.ready();
    const connection = (text) => shop.part('status-connection').filter({ hasText: text });
    await connection('No connection').waitFor();
    const { update } = await shop.watch((await shop.shelf())[0]);
    assert.ok(update.items.length >= 12);
    const { learn } = await shop.watch((await shop.shelf())[1]);
    assert.ok(learn !== null);
    await shop.page.context().setOffline(false);
    await connection('Online').waitFor();
  });
});

test('undo takes back a click and a dislike, and a surprise opens a film', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    const [first, second] = await shop.shelf();
    await shop.watch(first);
    const clicked = await shop.now();
    await shop.page.locator(`.card:has([data-item="${second}"]) .card-dislike`).last().click();
    await shop.event('update', { like: { cause: 'event' }, since: clicked });
    await shop.card(second).waitFor({ state: 'detached' });
    for (const history of [[first], []]) {
      const since = await shop.now();
      await shop.part('undo').click();
      const update = await shop.event('update', { like: { cause: 'undo' }, since });
      assert.deepEqual(update?.payload.history, history);
    }
    await shop.part('surprise').click();
    await shop.part('film-page').waitFor();
    await shop.part('film-watch').click();
    await shop.page.waitForFunction(() => window.__tandem.lastUpdate.history.length === 1);
  });
});

test('with consent the history is there after a reload, and without it no more', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    const item = (await shop.shelf())[0];
    await shop.watch(item);
    const history = () => shop.page.evaluate(() => window.__tandem.recommender.state().history);
    const toggle = async (granted) => {
      await shop.part('privacy').click();
      await shop.part('consent').click();
      // Shown once it is carried out.
      await shop.page.locator(`[data-testid="consent"][aria-checked="${granted}"]`).waitFor();
      await shop.page.keyboard.press('Escape');
    };
    await toggle(true);
    await shop.page.reload();
    await shop.ready();
    assert.deepEqual(await history(), [item]);
    await toggle(false);
    await shop.page.reload();
    await shop.ready();
    assert.deepEqual(await history(), []);
  });
});

test('the page of a film shows similar films and can be left with the keyboard', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.watch((await shop.shelf())[0]);
    await shop.part('details').first().click();
    await shop.page.locator('[data-testid="similar-card"]').first().waitFor();
    await shop.page.keyboard.press('Escape');
    assert.equal(await shop.part('film-page').isVisible(), false);
  });
});

test('a film has an address: Back closes it, a link and a reload open it, none is a click', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    const address = () => new URL(shop.page.url()).hash;
    const film = shop.part('film-page');
    await shop.part('details').first().click();
    await film.waitFor();
    const first = address();
    assert.match(first, /^#film=./);
    await shop.page.locator('[data-testid="similar-card"]').first().click();
    await shop.page.waitForURL((url) => url.hash !== first);
    await shop.page.goBack();
    assert.equal(address(), first);
    assert.equal(await film.isVisible(), true);
    await shop.page.goBack();
    assert.equal(address(), '');
    await film.waitFor({ state: 'hidden' });

    await shop.page.goto(`${serverUrl()}/${first}`);
    await shop.page.reload();
    await shop.page.locator('[data-testid="similar-card"]').first().waitFor();
    await shop.ready();
    assert.deepEqual(
      (await shop.page.evaluate(() => window.__tandem.recommender.state())).history,
      [],
    );
    await film.getByTestId('close').click();
    await film.waitFor({ state: 'hidden' });
    await shop.page.waitForURL((url) => url.hash === '');
  });
});

test('the ledger lists what was sent, and an exported session can be imported', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    const item = (await shop.shelf())[0];
    await shop.watch(item);
    await shop.part('privacy').click();
    await shop.page.getByText('/v1/candidates').first().waitFor();
    const [download] = await Promise.all([
      shop.page.waitForEvent('download'),
      shop.part('export').click(),
    ]);
    const file = { name: 'session', mimeType: '', buffer: await readFile(await download.path()) };
    await shop.part('erase').click();
    await shop.event('update', { like: { cause: 'reset' } });
    await shop.part('import-file').setInputFiles(file);
    const update = await shop.event('update', { like: { cause: 'import' } });
    assert.deepEqual(update?.payload.history, [item]);
  });
});

test('a replay counts the clicks of a visitor for four systems at once', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.internals(true);
    await shop.part('replay-next').click();
    await shop.part('replay-stop').waitFor();
    await shop.part('replay-next').waitFor({ timeout: 90_000 });
    assert.match(await shop.part('replay-counted').textContent(), /over 10 clicks of one visitor/);
    for (const system of ['popularity', 'cloud', 'small', 'tandem']) {
      assert.match(await shop.part(`replay-hr-${system}`).textContent(), /^[01]\.\d{3}$/);
    }
    assert.equal(await shop.part('replay-calls-cloud').textContent(), '10');
    assert.equal(await shop.part('replay-calls-small').textContent(), '0');
  });
});

test('a search shows films by title', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.part('search').fill('godfather');
    const found = shop.page.locator('[data-testid="browse-card"]');
    await shop.page.getByText('Found by title').waitFor();
    assert.match(await found.first().textContent(), /Godfather/);
  });
});

test('the layout is stable on a slow phone', async () => {
  await inShop(
    async (shop) => {
      await shop.ready();
      await shop.page.waitForTimeout(3000);
      const shift = await layoutShift(shop.page);
      assert.ok(shift < 0.05, `cumulative layout shift ${shift}`);
      assert.equal(await overflow(shop.page), 0);
      const { x, width } = await shop.part('integration').boundingBox();
      assert.ok(x >= 0 && x + width <= PHONE.width, `the last link ends at ${x + width}`);
    },
    { viewport: PHONE, prepare: (shop) => slowPhone(shop.page) },
  );
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds nothing in ${colorScheme} colours: shop, drawer, dialogs, evidence`, async () => {
    await inShop(
      async (shop) => {
        await shop.ready();
        await shop.watch((await shop.shelf())[0]);
        await shop.page.waitForTimeout(600);
        await shop.page.addScriptTag({ path: axe });
        await clean(shop, 'shop');
        await shop.internals(true);
        await clean(shop, 'internals');
        await shop.internals(false);
        for (const part of ['privacy', 'integration']) {
          await shop.part(part).click();
          await shop.page.waitForTimeout(300);
          await clean(shop, part);
          await shop.page.locator('dialog[open]').getByTestId('close').click();
        }
        await shop.part('details').first().click();
        await shop.page.locator('[data-testid="similar-card"]').first().waitFor();
        await clean(shop, 'film page');
        await shop.page.goto(`${serverUrl()}/evidence.html`);
        await shop.page.locator('.plot').waitFor();
        await shop.page.addScriptTag({ path: axe });
        await clean(shop, 'evidence');
      },
      { colorScheme, reducedMotion: 'reduce', bypassCSP: true },
    );
  });
}

async function clean(shop, where) {
  const violations = await shop.page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'],
    });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  });
  assert.deepEqual(violations, [], where);
}
