/** Storage of the session: failures, several tabs, database versions, clocks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fixture } from './package-fixture.mjs';
import { Visitor } from './package-page.mjs';

const fixture = new Fixture();

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
  test(`IndexedDB ${name}: the session continues in memory and states the reason`, async () => {
    const tab = await fixture.tabWithClicks(
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

test('storage that fills up during the visit loses no acknowledged event', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
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
  // Events stored before the quota was reached are restored at the next visit.
  const next = await fixture.visitor.tab();
  const { history } = await next.open({ server: fixture.server.url, consent: true });
  assert.deepEqual(history, ['i60', 'i61']);
});

/** Creates the database with another version. */
const database = (page, server, version) =>
  page.evaluate(
    ([name, number]) =>
      new Promise((done, failed) => {
        const request = indexedDB.open(name, number);
        request.onupgradeneeded = () => {
          request.result.createObjectStore('journal');
          request.result.createObjectStore('other version');
        };
        request.onsuccess = () => {
          request.result.close();
          done();
        };
        request.onerror = () => failed(request.error);
      }),
    [`tandem ${server}`, version],
  );

test('a database of an older version is replaced, one of a newer version is not touched', async () => {
  const tab = await fixture.visitor.tab();
  await database(tab.page, fixture.server.url, 1);
  const state = await tab.open({ server: fixture.server.url, consent: true });
  assert.deepEqual([state.storage, state.storageFault], ['device', null]);
  await tab.click('i60');
  await tab.close();
  const next = await fixture.visitor.tab();
  assert.deepEqual((await next.open({ server: fixture.server.url, consent: true })).history, [
    'i60',
  ]);
  await next.close();

  const other = await Visitor.arrive(fixture.browser, fixture.site);
  const newer = await other.tab();
  await database(newer.page, fixture.server.url, 99);
  const left = await newer.open({ server: fixture.server.url, consent: true });
  assert.deepEqual([left.storage, left.storageFault.code], ['memory', 'storage']);
  await other.leave();
});

test('a database deleted during the session is written again', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.atRest(1);
  await tab.page.evaluate(
    (name) =>
      new Promise((done) => {
        indexedDB.deleteDatabase(name).onsuccess = done;
      }),
    `tandem ${fixture.server.url}`,
  );
  await tab.click('i70');
  await tab.page.waitForTimeout(500);
  await tab.close();
  const next = await fixture.visitor.tab();
  const state = await next.open({ server: fixture.server.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i70']);
  assert.ok(state.stats.learnSteps >= 1);
});

test('two tabs that learn at the same time keep every event of both exactly once', async () => {
  const [a, b] = [await fixture.visitor.tab(), await fixture.visitor.tab()];
  for (const tab of [a, b]) {
    await tab.open({ server: fixture.server.url, consent: true });
    await tab.listed();
  }
  for (let round = 0; round < 8; round += 1) {
    await Promise.all([a.click(`i${100 + round}`), b.click(`i${120 + round}`)]);
    await a.page.waitForTimeout(200);
  }
  await a.until('window.rec.state().history.length === 16');
  await b.until('window.rec.state().history.length === 16');
  assert.ok((await a.causes()).includes('tab'));
  for (const tab of [a, b]) assert.ok((await tab.payloads('learn')).length >= 8);
  await a.page.waitForTimeout(2_000);
  await a.close();
  await b.close();
  const next = await fixture.visitor.tab();
  const { history: kept } = await next.open({ server: fixture.server.url, consent: true });
  assert.equal(kept.length, 16);
  assert.equal(new Set(kept).size, 16);
});

test('a frozen tab receives the events of another tab when it resumes', async () => {
  const a = await fixture.tabWithClicks({ consent: true });
  const b = await fixture.visitor.tab();
  await b.open({ server: fixture.server.url, consent: true });
  await a.freeze();
  await b.click('i70');
  await b.page.waitForTimeout(2_500);
  await a.thaw();
  await a.until('window.rec.state().history.length === 3');
  assert.deepEqual((await a.click('i71')).history, ['i60', 'i61', 'i70', 'i71']);
  await b.until('window.rec.state().history.length === 4');
});

test('a tab frozen before a learning step makes it when it resumes', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.atRest(1);
  const { step } = (await tab.state()).learned;
  // Both at once, so that there is no time for a learning step in between.
  await Promise.all([tab.click('i70'), tab.freeze()]);
  await tab.thaw();
  await tab.until(`window.rec.state().learned.step > ${step}`);
  assert.deepEqual((await tab.click('i71')).history, ['i60', 'i61', 'i70', 'i71']);
  assert.deepEqual(await tab.codes(), []);
});

test('a clock moved back neither stops the session nor damages stored data', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
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
  const next = await fixture.visitor.tab({ prepare: back });
  const state = await next.open({ server: fixture.server.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i70']);
  assert.ok(state.stats.listAgeMs >= 0);
});
