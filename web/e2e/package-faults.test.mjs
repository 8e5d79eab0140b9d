/**
 * What goes wrong in browsers, brought about on purpose: nothing is thrown that has no code,
 * and nothing is lost that was acknowledged.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Visitor } from './package-page.mjs';
import { Stand } from './package-stand.mjs';

const stand = new Stand();

const causes = async (tab) => (await tab.told('update')).map(({ cause }) => cause);
const codes = async (tab) => (await tab.told('error')).map(({ code }) => code);
const history = (tab) => tab.page.evaluate(() => window.rec.state().history);

/** Ends the page's worker as the browser would for want of memory: without a word. */
async function killWorker(tab) {
  const [worker] = tab.page.workers();
  await worker.evaluate(() => self.close()).catch(() => undefined);
}

test('a worker that is killed is replaced, without consent, and nothing is lost', async () => {
  const tab = await stand.shopping();
  await tab.atRest(1);
  await tab.click('i70');
  await killWorker(tab);
  await tab.until(`window.seen.some(({ payload }) => payload.cause === 'restart')`);
  const update = await tab.click('i71');
  assert.deepEqual(update.history, ['i60', 'i61', 'i70', 'i71']);
  assert.ok(update.items.length > 0);
  assert.ok(update.stats.learnSteps >= 1);
  assert.deepEqual(await codes(tab), []);
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
  await killWorker(tab);
  assert.equal(await burst, 60);
  const expected = ['i60', 'i61', ...Array.from({ length: 60 }, (_, n) => `i${100 + n}`)];
  assert.deepEqual(await history(tab), expected);
  await tab.close();
  const next = await stand.visitor.tab();
  assert.deepEqual((await next.open({ server: stand.cloud.url, consent: true })).history, expected);
});

test('a worker that dies again and again is given up with a code', async () => {
  const tab = await stand.shopping();
  for (let death = 1; death <= 3; death += 1) {
    await killWorker(tab);
    await tab.until(
      `window.seen.filter(({ payload }) => payload.cause === 'restart').length === ${death}`,
    );
  }
  await killWorker(tab);
  await tab.until(`window.rec.state().status === 'failed'`);
  assert.deepEqual(await codes(tab), ['worker_failed']);
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
    assert.deepEqual(await codes(tab), []);
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

for (const [name, sabotage, code] of [
  [
    'refused',
    () => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('denied', 'SecurityError');
      };
    },
    'storage',
  ],
  [
    'never opened',
    () => {
      IDBFactory.prototype.open = () => ({});
    },
    'storage',
  ],
  [
    'full',
    () => {
      IDBObjectStore.prototype.add = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
    },
    'quota',
  ],
]) {
  test(`an IndexedDB that is ${name}: the session goes on in memory and says why`, async () => {
    const tab = await stand.shopping(
      { consent: true },
      { prepare: (page) => page.addInitScript(sabotage) },
    );
    await tab.until('window.rec.state().storageFault !== null');
    const state = await tab.state();
    assert.deepEqual([state.storage, state.storageFault.code], ['memory', code]);
    await killWorker(tab);
    await tab.until(`window.seen.some(({ payload }) => payload.cause === 'restart')`);
    assert.deepEqual((await tab.click('i70')).history, ['i60', 'i61', 'i70']);
  });
}

/** Fills the database's name with one of another version. */
const database = (page, server, version) =>
  page.evaluate(
    ([name, number]) =>
      new Promise((done, failed) => {
        const request = indexedDB.open(name, number);
        request.onupgradeneeded = () => {
          request.result.createObjectStore('journal');
          request.result.createObjectStore('of another time');
        };
        request.onsuccess = () => {
          request.result.close();
          done();
        };
        request.onerror = () => failed(request.error);
      }),
    [`tandem ${server}`, version],
  );

test('a database of an older version begins anew, one of a newer is left alone', async () => {
  const tab = await stand.visitor.tab();
  await database(tab.page, stand.cloud.url, 1);
  const state = await tab.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual([state.storage, state.storageFault], ['device', null]);
  await tab.click('i60');
  await tab.close();
  const next = await stand.visitor.tab();
  assert.deepEqual((await next.open({ server: stand.cloud.url, consent: true })).history, ['i60']);
  await next.close();

  const other = await Visitor.arrive(stand.browser, stand.site);
  const newer = await other.tab();
  await database(newer.page, stand.cloud.url, 99);
  const left = await newer.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual([left.storage, left.storageFault.code], ['memory', 'storage']);
  await other.leave();
});

test('a database that is deleted under the session is filled again', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  await tab.page.evaluate(
    (name) =>
      new Promise((done) => {
        indexedDB.deleteDatabase(name).onsuccess = done;
      }),
    `tandem ${stand.cloud.url}`,
  );
  await tab.click('i70');
  await tab.page.waitForTimeout(500);
  await tab.close();
  const next = await stand.visitor.tab();
  const state = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i70']);
  assert.ok(state.stats.learnSteps >= 1);
});

test('two tabs that learn at once keep every event of both, each once', async () => {
  const [a, b] = [await stand.visitor.tab(), await stand.visitor.tab()];
  for (const tab of [a, b]) {
    await tab.open({ server: stand.cloud.url, consent: true });
    await tab.listed();
  }
  for (let round = 0; round < 8; round += 1) {
    await Promise.all([a.click(`i${100 + round}`), b.click(`i${120 + round}`)]);
    await a.page.waitForTimeout(200);
  }
  await a.until('window.rec.state().history.length === 16');
  await b.until('window.rec.state().history.length === 16');
  assert.ok((await causes(a)).includes('tab'));
  await a.page.waitForTimeout(2_000);
  await a.close();
  await b.close();
  const next = await stand.visitor.tab();
  const { history: kept } = await next.open({ server: stand.cloud.url, consent: true });
  assert.equal(kept.length, 16);
  assert.equal(new Set(kept).size, 16);
});

test('a tab that was frozen takes up what another did meanwhile', async () => {
  const a = await stand.shopping({ consent: true });
  const b = await stand.visitor.tab();
  await b.open({ server: stand.cloud.url, consent: true });
  const session = await stand.visitor.context.newCDPSession(a.page);
  await session.send('Page.setWebLifecycleState', { state: 'frozen' });
  await b.click('i70');
  await b.page.waitForTimeout(2_500);
  await session.send('Page.setWebLifecycleState', { state: 'active' });
  await a.until('window.rec.state().history.length === 3');
  assert.deepEqual((await a.click('i71')).history, ['i60', 'i61', 'i70', 'i71']);
  await b.until('window.rec.state().history.length === 4');
});

test('a clock that is moved back neither stops the session nor spoils what is kept', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  await tab.page.evaluate(() => {
    const day = 86_400_000;
    const now = Date.now.bind(Date);
    Date.now = () => now() - 400 * day;
  });
  const update = await tab.click('i70');
  assert.ok(update.items.length > 0 && update.stats.listAgeMs >= 0);
  await tab.close();
  const back = (page) =>
    page.addInitScript(() => {
      const now = Date.now.bind(Date);
      Date.now = () => now() - 800 * 86_400_000;
    });
  const next = await stand.visitor.tab({ prepare: back });
  const state = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i70']);
  assert.ok(state.stats.listAgeMs >= 0);
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
