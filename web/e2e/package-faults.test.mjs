/**
 * What goes wrong in browsers, brought about on purpose: nothing is thrown that has no code,
 * and nothing is lost that was acknowledged.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stand } from './package-stand.mjs';

const stand = new Stand();

test('a worker that is killed is replaced, without consent, and nothing is lost', async () => {
  const tab = await stand.shopping();
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

test('a worker that is killed during a burst answers every call, each event once', async () => {
  const tab = await stand.shopping({ consent: true });
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
  const next = await stand.visitor.tab();
  assert.deepEqual((await next.open({ server: stand.cloud.url, consent: true })).history, expected);
});

test('a worker that dies again and again is given up with a code', async () => {
  const tab = await stand.shopping();
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
  test(`a server that turns ${fault}: the list stays, clicks rank, and it mends`, async () => {
    const tab = await stand.shopping();
    await tab.page.waitForTimeout(300);
    stand.cloud.fault = fault;
    await tab.call('useModel', 'large');
    await tab.until(`window.rec.state().connection.state === 'failing'`);
    assert.equal((await tab.state()).connection.code, code);
    const update = await tab.click('i70');
    assert.ok(update.items.length > 0);
    assert.deepEqual(await tab.codes(), []);
    stand.cloud.fault = null;
    await tab.until(`window.rec.state().connection.state === 'online'`);
    const [offline] = await tab.told('offline');
    assert.equal(offline.state, 'failing');
  });

  test(`a server that is ${fault} from the first is a typed error`, async () => {
    stand.cloud.fault = fault;
    const tab = await stand.visitor.tab();
    const { error } = await tab.open({ server: stand.cloud.url });
    assert.equal(error.code, code);
    assert.equal(error.name, code === 'internal' ? 'TandemError' : 'ServerError');
  });
}

test('a slow server is given up in time, and holds up no click', async () => {
  const tab = await stand.visitor.tab();
  await tab.open({ server: stand.cloud.url, timeoutMs: 1_500 });
  await tab.listed();
  stand.cloud.fault = 'slow';
  await tab.call('useModel', 'large');
  const update = await tab.click('i60');
  assert.ok(update.items.length > 0);
  await tab.until(`window.rec.state().connection.code === 'timeout'`);
});

test('with files on the device, a server that is down or slow keeps nobody from opening', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  await tab.close();
  for (const fault of ['down', 'slow', 500]) {
    stand.cloud.fault = fault;
    const next = await stand.visitor.tab();
    const { history: kept } = await next.open({ server: stand.cloud.url, consent: true });
    assert.deepEqual(kept, ['i60', 'i61']);
    assert.ok((await next.call('recommend')).items.length > 0, `${fault}`);
    await next.close();
  }
});

test('a flipped byte in the cache is found and the file fetched anew', async () => {
  const tab = await stand.shopping({ consent: true });
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
  const before = stand.cloud.requests.length;
  const next = await stand.visitor.tab();
  const { history: kept } = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(kept, ['i60', 'i61']);
  const fetched = stand.cloud.requests
    .slice(before)
    .filter(({ path }) => path.includes('/artifacts/'));
  assert.equal(fetched.length, 3);
});

test('a flipped byte in what the server sends is refused by name', async () => {
  stand.cloud.fault = 'flipped';
  const tab = await stand.visitor.tab();
  const { error } = await tab.open({ server: stand.cloud.url });
  assert.deepEqual([error.name, error.code], ['ArtifactError', 'integrity']);
  stand.cloud.fault = null;
  assert.equal((await tab.open({ server: stand.cloud.url })).status, 'ready');
});

test('another catalogue: the model is loaded anew and the session goes on', async () => {
  const tab = await stand.shopping();
  await tab.atRest(1);
  stand.cloud.exportAnew({ seed: 5, prefix: 'n' });
  await tab.call('useModel', 'large');
  await tab.until(`window.seen.some(({ payload }) => payload.cause === 'catalogue')`);
  await tab.until(`window.rec.state().connection.state === 'online'`);
  const { items, history: kept } = await tab.call('recommend');
  assert.deepEqual(kept, ['i60', 'i61']);
  assert.ok(items.length > 0 && items.every(({ item }) => item.startsWith('n')));
  assert.ok((await tab.click(items[0].item)).items.length > 0);
});

test('at the next visit another model drops what was learnt and keeps the history', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  await tab.close();
  stand.cloud.exportAnew({ seed: 9 });
  const next = await stand.visitor.tab();
  const state = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61']);
  assert.equal(state.stats.learnSteps, 0);
  // Files that nobody names any more have left the cache.
  const kept = await next.page.evaluate(
    async () =>
      (await (await caches.open('tandem-files')).keys()).filter(({ url }) =>
        url.includes('/sha256/'),
      ).length,
  );
  assert.equal(kept, 3);
});

test('10,000 clicks in a burst are all counted, and the page stays usable', async () => {
  const tab = await stand.shopping({ consent: true });
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
  const next = await stand.visitor.tab();
  const state = await next.open({ server: stand.cloud.url, consent: true });
  assert.equal(state.stats.clicks, 10_002);
});
