/** What the first visit to the film shop costs: bytes over the wire, and the time on a slow line. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { serverUrl } from './environment.mjs';
import { line } from './line.mjs';
import { ShopPage } from './shop-page.mjs';

/** Most bytes until the shop is complete: page, fonts, both programs, small model, first lists. */
const MOST_BYTES = 750_000;
/** 1.6 Mbit/s, as Lighthouse simulates a slow phone. */
const SLOW = { bytesPerSecond: 200_000, latencyMs: 150 };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** A first visit: nothing is cached. */
async function visit(limits) {
  const wire = await line(serverUrl(), limits);
  const shop = await ShopPage.open(browser, wire.url);
  try {
    await shop.card().first().waitFor({ timeout: 60_000 });
    const films = { ms: await shop.now(), bytes: wire.counted.bytes };
    await shop.ready();
    const update = await shop.event('update', { like: { items: 'some' } });
    assert.ok(update !== null, 'the device ranked no list');
    // Both sides have a list, and the fonts of the posters are there.
    await shop.page.getByText(/Answered after/).waitFor({ timeout: 60_000 });
    await shop.page.evaluate(() => document.fonts.ready);
    return { films, complete: { ms: await shop.now(), bytes: wire.counted.bytes } };
  } finally {
    await shop.close();
    await wire.close();
  }
}

test('a first visit stays within its budget of bytes', async () => {
  const { films, complete } = await visit();
  console.error(
    `  ${films.bytes} bytes until the first films, ${complete.bytes} until the shop is complete`,
  );
  assert.ok(films.bytes <= complete.bytes);
  assert.ok(complete.bytes <= MOST_BYTES, `${complete.bytes} bytes, at most ${MOST_BYTES}`);
});

test('a first visit on a slow line shows films, then ranks', async () => {
  const { films, complete } = await visit(SLOW);
  // Times depend on the load of the machine: printed, not asserted.
  console.error(
    `  at 1.6 Mbit/s: first films after ${(films.ms / 1_000).toFixed(2)} s, complete after ` +
      `${(complete.ms / 1_000).toFixed(2)} s`,
  );
  assert.ok(films.ms <= complete.ms);
});
