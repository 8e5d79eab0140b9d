/** Behaviour of the demo page under faults: it stays usable and reports the problem. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { serverPid, serverUrl } from './environment.mjs';
import { ShopPage } from './shop-page.mjs';
// First, because the last test of this file ends the server.
import './shop.test.mjs';

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

async function inShop(play, prepare = async () => {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  const shop = new ShopPage(await context.newPage());
  try {
    await prepare(shop);
    await shop.page.goto(serverUrl());
    await play(shop);
    assert.deepEqual(shop.faults, []);
  } finally {
    await shop.close();
  }
}

const watchFirst = async (shop) => shop.watch((await shop.shelf())[0], { learnMs: 10_000 });

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** Clicks until the connection has the given state; returns the last update. */
async function clickUntil(shop, state, limit = 25) {
  for (let click = 0; click < limit; click += 1) {
    const { update, request } = await watchFirst(shop);
    const latest = request ?? update;
    if (latest.connection.state === state) return latest;
    // Waits between clicks, so that the call budget of the device can refill.
    await shop.page.waitForTimeout(click < 5 ? 0 : 1000);
  }
  throw new Error(`the connection was not ${state} after ${limit} clicks`);
}

test('offline: films are recommended and nothing is sent', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await watchFirst(shop);
    await shop.part('toggle-offline').click();
    await shop.event('update', { like: { cause: 'connection' } });
    const sent = [];
    shop.page.on('request', (request) => sent.push(request.url()));
    const orders = [];
    for (let click = 0; click < 3; click += 1) {
      const { update } = await watchFirst(shop);
      assert.equal(update.connection.state, 'offline');
      orders.push(update.items.map(({ item }) => item).join());
    }
    assert.deepEqual(sent, []);
    assert.equal(new Set(orders).size, 3);
    assert.ok((await shop.shelf()).length > 0);
    assert.match(await shop.part('banner').textContent(), /Offline/);
    await shop.screenshot('offline');
    await shop.part('toggle-offline').click();
    await shop.page.locator('[data-testid="status-connection"][data-state="online"]').waitFor();
  });
});

for (const which of ['body', 'rows']) {
  test(`a flipped byte in the model file ${which} gives an error with its name and both hashes`, async () => {
    const answer = await fetch(`${serverUrl()}/v1/manifest`);
    const { path, sha256: expected } = (await answer.json())[which];
    let found = '';
    const damage = async (route) => {
      const response = await route.fetch();
      const bytes = Buffer.from(await response.body());
      bytes[bytes.length >> 1] ^= 1;
      found = sha256(bytes);
      await route.fulfill({ response, body: bytes });
    };
    const address = `**/artifacts/*/${path}`;
    await inShop(
      async (shop) => {
        const loading = shop.page.locator('[data-testid="opening"][data-phase="failed"]');
        await loading.waitFor();
        const text = await loading.textContent();
        assert.ok(text.includes(path), text);
        assert.ok(text.includes(expected) && text.includes(found), text);
        await shop.screenshot(`damaged-${which}`);
        // The page loads once the file is correct again.
        await shop.page.unroute(address);
        await shop.part('retry').click();
        await shop.ready();
      },
      (shop) => shop.page.route(address, damage),
    );
  });
}

test('without WebGPU the page stays on the CPU and shows that', async () => {
  // This browser was launched without an adapter.
  await inShop(async (shop) => {
    await shop.ready();
    await shop.internals(true);
    const since = await shop.now();
    await shop.part('device-webgpu').click();
    const ready = await shop.event('ready', { since });
    assert.equal(ready?.payload.device, 'cpu');
    assert.equal(await shop.part('status-device').textContent(), 'CPU');
    assert.ok(await shop.page.getByText('WebGPU unavailable').isVisible());
    await shop.internals(false);
    await watchFirst(shop);
  });
});

test('an invalid response keeps the last list in use', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await shop.page.route('**/v1/candidates', (route) =>
      route.fulfill({ status: 200, contentType: 'application/json', body: '{"half": ' }),
    );
    const latest = await clickUntil(shop, 'failing');
    assert.equal(latest.connection.code, 'bad_response');
    assert.ok((await shop.shelf()).length > 0);
    await shop.part('banner').waitFor();
    const banner = await shop.part('banner').textContent();
    assert.match(banner, /not responding \(bad_response\)/);
    // The device may not have needed a list before this one.
    assert.equal(/last list is still used/.test(banner), latest.ranking != null);
  });
});

// Must be the last test: it ends the server.
test('without the server the page keeps the last list and shows the problem', async () => {
  await inShop(async (shop) => {
    await shop.ready();
    await watchFirst(shop);
    process.kill(serverPid(), 'SIGKILL');
    const latest = await clickUntil(shop, 'failing');
    assert.equal(latest.connection.code, 'unreachable');
    assert.ok(latest.items.length > 0);
    assert.match(await shop.part('banner').textContent(), /server is not responding/);
    const { update } = await watchFirst(shop);
    assert.ok(update.items.length > 0);
    // Without an answer there is nothing to compare with.
    await shop.page.getByText('No answer', { exact: true }).waitFor();
    assert.equal(await shop.part('meter-saved').textContent(), '');
    await shop.screenshot('server-gone');
  });
});
