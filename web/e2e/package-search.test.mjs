/**
 * Search on the device: the first paint, filters and stock, cells, and their faults.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { Fixture } from './package-fixture.mjs';

const fixture = new Fixture();
const ids = (items) => items.map(({ item }) => item);

describe('the whole table', () => {
  const popular = ['i150', 'i151', 'i152'];
  beforeEach(() => fixture.server.replaceRelease({ search: { k: 100 }, popular, count: 2_000 }));

  test('the first paint shows popular items while the cloud has not answered', async () => {
    const tab = await fixture.visitor.tab();
    await tab.open({ server: fixture.server.url });
    fixture.server.fault = 'slow';
    const first = await tab.call('recommend');
    assert.deepEqual(ids(first.items).slice(0, 3), popular);
    const own = await tab.click('i60');
    assert.ok(own.searched && own.items.length >= 100);
    assert.ok(own.items.every(({ listed }) => !listed));
    fixture.server.fault = null;
    fixture.server.releaseSlow();
    await tab.until(`window.seen.some(({ payload }) => payload.cause === 'request')`);
    const { items } = await tab.call('recommend');
    assert.ok(items.some(({ listed }) => listed) && items.some(({ listed }) => !listed));
  });

  test('with the server gone there are recommendations at every click', async () => {
    const tab = await fixture.visitor.tab();
    await tab.open({ server: fixture.server.url });
    fixture.server.fault = 'down';
    for (const item of ['i1', 'i2', 'i3']) {
      const { items } = await tab.click(item);
      assert.ok(items.length >= 50 && !ids(items).includes(item));
    }
    await tab.call('setOffline', true);
    assert.ok((await tab.click('i4')).items.length >= 50);
  });

  test('a category of 28 items fills a shelf of 12', async () => {
    const tab = await fixture.tabWithClicks();
    const found = await tab.page.evaluate(async () => {
      const inCategory = (item) => Number(item.slice(1)) % 74 === 0;
      const filter = ({ item }) => inCategory(item);
      const twelve = await window.rec.recommend({ k: 12, filter });
      const all = await window.rec.recommend({ k: 50, filter });
      return [twelve.items, all.items].map((items) => items.map(({ item }) => item));
    });
    assert.equal(new Set(found[0]).size, 12);
    // All 28 multiples of 74 below 2,000, of which none was clicked. The order may differ: the
    // device may have learnt from the last click between the two calls.
    assert.equal(new Set(found[1]).size, 28);
    assert.ok(found[0].every((item) => found[1].includes(item)));
  });

  test('with 90 % sold out there are 12 items, all in stock', async () => {
    const tab = await fixture.tabWithClicks();
    const stock = fixture.server.items.filter((_, number) => number % 10 === 0);
    await tab.call('setAvailable', stock);
    const { items } = await tab.call('recommend', { k: 12 });
    assert.equal(items.length, 12);
    assert.ok(ids(items).every((item) => stock.includes(item)));
    await tab.killWorker();
    await tab.until(`window.seen.some(({ payload }) => payload.cause === 'restart')`);
    const after = await tab.call('recommend', { k: 12 });
    assert.ok(ids(after.items).every((item) => stock.includes(item)));
    const all = await tab.call('setAvailable', null);
    assert.ok(ids(all.items).some((item) => !stock.includes(item)));
  });

  test('excluded items are sent with requests only if the page allows it', async () => {
    const tab = await fixture.visitor.tab();
    await tab.open({ server: fixture.server.url });
    await tab.listed();
    await tab.call('setExcluded', ['i70'], { send: true });
    await tab.call('useModel', 'large');
    await tab.until(`window.seen.filter(({ payload }) => payload.cause === 'request').length >= 2`);
    assert.deepEqual(fixture.server.posted('/v1/candidates').at(-1).exclude, ['i70']);
  });
});

describe('cells', () => {
  beforeEach(() =>
    fixture.server.replaceRelease({ cells: true, count: 8_000, search: { k: 100 } }),
  );

  const searched = (tab) =>
    // The first update has the row of the clicked item, the next one the cells near it.
    tab.until(`window.seen.filter(({ payload }) => payload.cause === 'search').length >= 2`);

  /** A tab after a click whose cells have arrived. */
  async function tabWithCells(options = {}) {
    const tab = await fixture.visitor.tab();
    await tab.open({ server: fixture.server.url, ...options });
    await tab.listed();
    await tab.click('i60');
    await searched(tab);
    return tab;
  }

  test('are fetched after the click, are in the ledger, and widen the ranking', async () => {
    const tab = await tabWithCells();
    const { items } = await tab.call('recommend');
    assert.ok(items.some(({ listed }) => !listed));
    const { entries } = await tab.call('ledger');
    const cells = entries.filter(({ why }) => why === 'cell');
    assert.ok(cells.length >= 1 && cells.length <= 4);
    assert.ok(cells.every(({ status, url }) => status === 200 && url.includes('/cells/')));
    assert.ok(fixture.server.cellBytes <= 4 * 65_536);
  });

  test('what others chose near a clicked item is ranked, unless the page decides otherwise', async () => {
    fixture.server.replaceRelease({ cells: true, counts: true, count: 8_000, search: { k: 100 } });
    const tab = await tabWithCells();
    // The order of the small model with counts, which the fusion joins with that of the list.
    const best = ({ items }) => items.find(({ srmRank }) => srmRank === 0).item;
    assert.equal(best(await tab.call('recommend')), 'i61');
    const asked = () => fixture.server.posted('/v1/rows').map(({ counts }) => counts);
    assert.deepEqual(asked(), [['i60']]);
    // No cell brings its row; the click on a neighbour asks for that one's neighbours only.
    await tab.click('i61');
    await tab.until(
      `window.seen.some(({ payload }) => payload.items?.some(({ item, srmRank }) => item === 'i62' && srmRank === 0))`,
    );
    assert.deepEqual(asked(), [['i60'], ['i61']]);
    assert.deepEqual(fixture.server.posted('/v1/rows').at(-1).items, []);
    const { entries } = await tab.call('ledger');
    assert.ok(entries.some(({ why }) => why === 'what others chose near clicked items'));
    await tab.close();
    const without = await tabWithCells({ counts: false });
    assert.equal(asked().at(-1), undefined);
    assert.notEqual(best(await without.call('recommend')), 'i61');
  });

  test('are cached for the next visit, with consent', async () => {
    const tab = await tabWithCells({ consent: true });
    await tab.click('i61');
    await tab.atRest(1);
    await tab.close();
    const before = fixture.server.cellBytes;
    const next = await fixture.visitor.tab();
    await next.open({ server: fixture.server.url, consent: true });
    await next.until(`window.seen.some(({ payload }) => payload.cause === 'search')`);
    assert.equal(fixture.server.cellBytes, before);
  });

  for (const [fault, code] of [
    ['flipped-cells', 'integrity'],
    ['no-cells', 'not_found'],
  ]) {
    test(`that are unusable (${fault}) are reported, and the session continues`, async () => {
      const tab = await fixture.visitor.tab();
      await tab.open({ server: fixture.server.url });
      await tab.listed();
      fixture.server.fault = fault;
      await tab.click('i60');
      await tab.until(`window.seen.some(({ name }) => name === 'error')`);
      assert.ok((await tab.codes()).every((found) => found === code));
      assert.ok((await tab.click('i61')).items.length > 0);
    });
  }

  test('with a full cache they are used from the network, and the fault is reported once', async () => {
    const tab = await fixture.visitor.tab();
    await tab.open({ server: fixture.server.url, consent: true });
    await tab.listed();
    for (const worker of tab.page.workers()) {
      await worker.evaluate(() => {
        Cache.prototype.put = () => {
          throw new DOMException('full', 'QuotaExceededError');
        };
      });
    }
    await tab.click('i60');
    await searched(tab);
    assert.deepEqual(await tab.codes(), ['quota']);
  });

  test('available items in other cells get their rows, and the list is full', async () => {
    const tab = await tabWithCells();
    const category = fixture.server.items.filter((_, number) => number % 1_333 === 7);
    await tab.call('setAvailable', category);
    // Waits for the rows that are missing.
    const { items } = await tab.call('recommend', { k: 12 });
    assert.deepEqual(ids(items).sort(), [...category].sort());
    const asked = fixture.server.posted('/v1/rows').at(-1).items;
    assert.ok(asked.length > 0 && asked.every((item) => category.includes(item)));
    const { entries } = await tab.call('ledger');
    assert.ok(entries.some(({ why }) => why === 'rows of available items'));
    const before = fixture.server.posted('/v1/rows').length;
    await tab.call('setAvailable', null);
    await tab.call('setAvailable', category);
    assert.equal((await tab.call('recommend', { k: 12 })).items.length, category.length);
    assert.equal(fixture.server.posted('/v1/rows').length, before);
  });

  test('a filter that few items pass gets further cells', async () => {
    const tab = await tabWithCells();
    const found = await tab.page.evaluate(async () => {
      // 13 of the 8,000 items.
      const filter = ({ item }) => Number(item.slice(1)) % 660 === 7;
      const here = await window.rec.recommend({ k: 13, filter, wait: 0 });
      const all = await window.rec.recommend({ k: 13, filter });
      return [here.items, all.items].map((items) => items.map(({ item }) => item));
    });
    assert.ok(found[0].length < 13, `without waiting: ${found[0].length}`);
    assert.equal(new Set(found[1]).size, 13);
  });

  test('are not loaded without a search, and neither are titles and table', async () => {
    const tab = await fixture.visitor.tab();
    await tab.open({ server: fixture.server.url, search: 'off' });
    await tab.listed();
    await tab.click('i60');
    const { entries } = await tab.call('ledger');
    const loaded = entries.map(({ url }) => url).filter((url) => url.includes('/artifacts/'));
    assert.ok(loaded.length > 0 && loaded.every((url) => url.endsWith('body.safetensors')));
  });

  test('are searched without the server once they are here', async () => {
    const tab = await tabWithCells();
    fixture.server.fault = 'down';
    const { items, searched: done } = await tab.click('i61');
    assert.ok(done && items.some(({ listed }) => !listed));
  });
});
