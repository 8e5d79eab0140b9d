/**
 * Simulated faults: every error has a code, and no acknowledged event is lost.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fixture } from './package-fixture.mjs';

const fixture = new Fixture();

test('a killed worker is replaced without loss, also without consent', async () => {
  const tab = await fixture.tabWithClicks();
  await tab.atRest(1);
  await tab.click('i70');
  await tab.killWorker();
  await tab.until(`window.seen.some(({ payload }) => payload.cause === 'restart')`);
  const update = await tab.click('i71');
  assert.deepEqual(update.history, ['i60', 'i61', 'i70', 'i71']);
  assert.ok(update.items.length > 0);
  assert.ok(update.stats.learnSteps >= 1);
  assert.deepEqual(await tab.codes(), []);
  assert.equal((await tab.state()).status, 'ready');
});

test('a worker killed during a burst: every call resolves, every event counts once', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  const burst = tab.page.evaluate(async () => {
    const calls = Array.from({ length: 60 }, (_, number) =>
      window.rec.track({ type: 'click', item: `i${100 + number}` }),
    );
    return (await Promise.all(calls)).length;
  });
  await tab.page.waitForTimeout(5);
  await tab.killWorker();
  assert.equal(await burst, 60);
  const expected = ['i60', 'i61', ...Array.from({ length: 60 }, (_, n) => `i${100 + n}`)];
  assert.deepEqual(await tab.history(), expected);
  await tab.close();
  const next = await fixture.visitor.tab();
  assert.deepEqual(
    (await next.open({ server: fixture.server.url, consent: true })).history,
    expected,
  );
});

test('after the fourth crash in a minute the recommender fails with worker_failed', async () => {
  const tab = await fixture.tabWithClicks();
  for (let death = 1; death <= 3; death += 1) {
    await tab.killWorker();
    await tab.until(
      `window.seen.filter(({ payload }) => payload.cause === 'restart').length === ${death}`,
    );
  }
  await tab.killWorker();
  await tab.until(`window.rec.state().status === 'failed'`);
  assert.deepEqual(await tab.codes(), ['worker_failed']);
  assert.equal((await tab.call('recommend')).error.name, 'DeviceError');
});

for (const [fault, code] of [
  ['down', 'unreachable'],
  [429, 'overloaded'],
  [500, 'internal'],
  ['garbage', 'bad_response'],
  ['no-cors', 'unreachable'],
]) {
  test(`server fault ${fault} after opening: ranking continues and the connection recovers`, async () => {
    const tab = await fixture.tabWithClicks();
    await tab.page.waitForTimeout(300);
    fixture.server.fault = fault;
    await tab.call('useModel', 'large');
    await tab.until(`window.rec.state().connection.state === 'failing'`);
    assert.equal((await tab.state()).connection.code, code);
    const update = await tab.click('i70');
    assert.ok(update.items.length > 0);
    assert.deepEqual(await tab.codes(), []);
    fixture.server.fault = null;
    await tab.until(`window.rec.state().connection.state === 'online'`);
    const [offline] = await tab.payloads('offline');
    assert.equal(offline.state, 'failing');
  });

  test(`server fault ${fault} while opening is a typed error`, async () => {
    fixture.server.fault = fault;
    const tab = await fixture.visitor.tab();
    const { error } = await tab.open({ server: fixture.server.url });
    assert.equal(error.code, code);
    assert.equal(error.name, code === 'internal' ? 'TandemError' : 'ServerError');
  });
}

test('requests to a slow server time out and do not delay clicks', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open({ server: fixture.server.url, timeoutMs: 1_500 });
  await tab.listed();
  fixture.server.fault = 'slow';
  await tab.call('useModel', 'large');
  const update = await tab.click('i60');
  assert.ok(update.items.length > 0);
  await tab.until(`window.rec.state().connection.code === 'timeout'`);
});

test('with cached files the package opens while the server is down or slow', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.atRest(1);
  await tab.close();
  for (const fault of ['down', 'slow', 500]) {
    fixture.server.fault = fault;
    const next = await fixture.visitor.tab();
    const { history: kept } = await next.open({ server: fixture.server.url, consent: true });
    assert.deepEqual(kept, ['i60', 'i61']);
    assert.ok((await next.call('recommend')).items.length > 0, `${fault}`);
    await next.close();
  }
});

test('a flipped byte in the cache is detected and the file fetched again', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.page.evaluate(async () => {
    const cache = await caches.open('tandem-files');
    for (const key of await cache.keys()) {
      if (!key.url.includes('/sha256/')) continue;
      const bytes = new Uint8Array(await (await cache.match(key)).arrayBuffer());
      bytes[bytes.length >> 1] ^= 1;
      await cache.put(key, new Response(bytes));
    }
  });
  await tab.close();
  const before = fixture.server.requests.length;
  const next = await fixture.visitor.tab();
  const { history: kept } = await next.open({ server: fixture.server.url, consent: true });
  assert.deepEqual(kept, ['i60', 'i61']);
  const fetched = fixture.server.requests
    .slice(before)
    .filter(({ path }) => path.includes('/artifacts/'));
  assert.equal(fetched.length, 3);
});

test('a flipped byte in a response is an integrity error', async () => {
  fixture.server.fault = 'flipped';
  const tab = await fixture.visitor.tab();
  const { error } = await tab.open({ server: fixture.server.url });
  assert.deepEqual([error.name, error.code], ['ArtifactError', 'integrity']);
  fixture.server.fault = null;
  assert.equal((await tab.open({ server: fixture.server.url })).status, 'ready');
});

test('a new catalogue reloads the model and keeps the history', async () => {
  const tab = await fixture.tabWithClicks();
  await tab.atRest(1);
  fixture.server.replaceRelease({ seed: 5, prefix: 'n' });
  await tab.call('useModel', 'large');
  await tab.until(`window.seen.some(({ payload }) => payload.cause === 'catalogue')`);
  await tab.until(`window.rec.state().connection.state === 'online'`);
  const { items, history: kept } = await tab.call('recommend');
  assert.deepEqual(kept, ['i60', 'i61']);
  assert.ok(items.length > 0 && items.every(({ item }) => item.startsWith('n')));
  assert.ok((await tab.click(items[0].item)).items.length > 0);
});

test('a new model at the next visit keeps the history and drops the personal delta', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.atRest(1);
  await tab.close();
  fixture.server.replaceRelease({ seed: 9 });
  const next = await fixture.visitor.tab();
  const state = await next.open({ server: fixture.server.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61']);
  assert.equal(state.stats.learnSteps, 0);
  // Files of the old release are removed from the cache.
  await next.until(
    `caches.open('tandem-files').then((cache) => cache.keys())
      .then((keys) => keys.filter(({ url }) => url.includes('/sha256/')).length === 3)`,
  );
});

test('a burst of 10,000 clicks is counted completely', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  const { clicks, newest } = await tab.page.evaluate(async () => {
    const calls = Array.from({ length: 10_000 }, (_, number) =>
      window.rec.track({ type: 'click', item: `i${number % 200}` }),
    );
    const last = (await Promise.all(calls)).at(-1);
    return { clicks: last.stats.clicks, newest: last.history.at(-1) };
  });
  assert.deepEqual([clicks, newest], [10_002, 'i199']);
  await tab.page.waitForTimeout(3_000);
  await tab.close();
  const next = await fixture.visitor.tab();
  const state = await next.open({ server: fixture.server.url, consent: true });
  assert.equal(state.stats.clicks, 10_002);
});
