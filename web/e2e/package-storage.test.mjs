/** Where the session is kept: storage that fails, other tabs, other times. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Visitor } from './package-page.mjs';
import { Stand } from './package-stand.mjs';

const stand = new Stand();

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
    await tab.killWorker();
    await tab.until(`window.seen.some(({ payload }) => payload.cause === 'restart')`);
    assert.deepEqual((await tab.click('i70')).history, ['i60', 'i61', 'i70']);
  });
}

test('a device that fills up during the visit loses nothing that was acknowledged', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  await tab.page.evaluate(() => {
    for (const method of ['add', 'put']) {
      IDBObjectStore.prototype[method] = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
    }
  });
  await tab.click('i70');
  await tab.until('window.rec.state().storageFault !== null');
  const state = await tab.state();
  assert.deepEqual([state.storage, state.storageFault.code], ['memory', 'quota']);
  assert.deepEqual(await tab.codes(), ['quota']);
  await tab.killWorker();
  await tab.until(`window.seen.some(({ payload }) => payload.cause === 'restart')`);
  assert.deepEqual((await tab.click('i71')).history, ['i60', 'i61', 'i70', 'i71']);
  await tab.close();
  // What the storage took while it had room is there at the next visit.
  const next = await stand.visitor.tab();
  const { history } = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(history, ['i60', 'i61']);
});

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
  assert.ok((await a.causes()).includes('tab'));
  for (const tab of [a, b]) assert.ok((await tab.told('learn')).length >= 8);
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
  await a.freeze();
  await b.click('i70');
  await b.page.waitForTimeout(2_500);
  await a.thaw();
  await a.until('window.rec.state().history.length === 3');
  assert.deepEqual((await a.click('i71')).history, ['i60', 'i61', 'i70', 'i71']);
  await b.until('window.rec.state().history.length === 4');
});

test('a tab that is frozen before it has learnt does so when it is looked at again', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  const { step } = (await tab.state()).learned;
  // Both at once, so that there is no time to learn between them.
  await Promise.all([tab.click('i70'), tab.freeze()]);
  await tab.thaw();
  await tab.until(`window.rec.state().learned.step > ${step}`);
  assert.deepEqual((await tab.click('i71')).history, ['i60', 'i61', 'i70', 'i71']);
  assert.deepEqual(await tab.codes(), []);
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
