/** The package in a real Chromium, against a cloud that does as it is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stand } from './package-stand.mjs';

const stand = new Stand();

const ids = ({ items }) => items.map(({ item }) => item);

test('a click ranks, learns after the paint, and can be taken back with what it taught', async () => {
  const tab = await stand.shopping();
  await tab.atRest(1);
  const before = await tab.call('recommend');
  await tab.click('i70');
  await tab.until('window.rec.state().learned?.step === 2');
  assert.notDeepEqual(ids(await tab.call('recommend')), ids(before));
  assert.deepEqual(await tab.call('undo'), { type: 'click', item: 'i70' });
  const after = await tab.call('recommend');
  assert.equal(after.stats.learnSteps, 1);
  assert.deepEqual(after.history, ['i60', 'i61']);
  // A list may have come meanwhile; what is in both stands in the same order.
  const both = ids(before).filter((item) => ids(after).includes(item));
  assert.deepEqual(
    ids(after).filter((item) => both.includes(item)),
    both,
  );
});

test('explain, similar and compare answer on the device', async () => {
  const tab = await stand.shopping();
  await tab.atRest(1);
  await tab.call('setOffline', true);
  const asked = stand.cloud.requests.length;
  const { items } = await tab.call('recommend');
  const why = await tab.call('explain', items[3].item);
  assert.equal(why.rank, 3);
  assert.equal(why.of, items.length);
  assert.deepEqual(why.item, items[3]);
  assert.deepEqual(why.pulls.map(({ item }) => item).sort(), ['i60', 'i61']);
  assert.equal(await tab.call('explain', 'i60'), null);
  const similar = await tab.call('similar', 'i60', { k: 5 });
  assert.equal(similar.length, 5);
  assert.ok(similar.every(({ item, similarity }) => item !== 'i60' && Math.abs(similarity) <= 1));
  assert.ok(similar[0].similarity >= similar[4].similarity);
  const own = stand.cloud.items.slice(0, 20);
  const apart = await tab.call('compare', own);
  assert.ok(apart > 0 && apart <= 1);
  assert.equal(stand.cloud.requests.length, asked);
});

test('rules, exclusions and filters are never sent', async () => {
  const tab = await stand.shopping();
  const shown = await tab.page.evaluate(async () => {
    const { items } = await window.rec.recommend({
      k: 5,
      exclude: ['i1'],
      filter: ({ item }) => item !== 'secret-filter',
      rules: [{ type: 'never', items: ['secret-rule'] }],
    });
    return items.length;
  });
  assert.equal(shown, 5);
  const { entries } = await tab.call('ledger');
  assert.ok(!JSON.stringify(entries).includes('secret'));
});

test('the ledger has every request that reached the server, byte for byte', async () => {
  const tab = await stand.shopping({ key: 'pub_1' });
  await tab.page.waitForTimeout(500);
  const { entries, bytes, dropped } = await tab.call('ledger');
  assert.deepEqual(
    entries.map(({ method, url, body }) => [method, new URL(url).pathname, body ?? '']),
    stand.cloud.requests.map(({ method, path, body }) => [method, path, body]),
  );
  const sent = stand.cloud.requests.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
  assert.deepEqual([bytes, dropped], [sent, 0]);
  assert.ok(entries.every(({ why, status }) => why !== '' && status === 200));
  assert.ok(stand.cloud.requests.every(({ authorization }) => authorization === 'Bearer pub_1'));
});

test('another language model is asked for its list', async () => {
  const tab = await stand.shopping();
  assert.deepEqual(
    (await tab.call('models')).map(({ name }) => name),
    ['small', 'large'],
  );
  await tab.call('useModel', 'large');
  await tab.until(
    `window.seen.some(({ name, payload }) => name === 'update' && payload.model === 'large')`,
  );
  assert.equal(stand.cloud.posted('/v1/candidates').at(-1).model, 'large');
  assert.equal((await tab.state()).model, 'large');
});

test('without consent nothing is stored', async () => {
  const tab = await stand.shopping();
  await tab.atRest(1);
  const kept = await tab.page.evaluate(async () => [
    (await indexedDB.databases()).length,
    (await caches.keys()).length,
    localStorage.length,
    document.cookie,
  ]);
  assert.deepEqual(kept, [0, 0, 0, '']);
  await tab.close();
  const next = await stand.visitor.tab();
  assert.deepEqual((await next.open({ server: stand.cloud.url, consent: true })).history, []);
});

test('with consent the next visit goes on, and withdrawing it erases everything', async () => {
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  const learnt = await tab.call('recommend');
  await tab.click('i80');
  // Closed at once: the click was acknowledged, and so it is kept.
  await tab.close();
  const next = await stand.visitor.tab();
  const state = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i80']);
  assert.equal(state.storage, 'device');
  assert.ok(state.stats.learnSteps >= learnt.stats.learnSteps);
  await next.call('setConsent', false);
  const left = await next.page.evaluate(async () => {
    const [database] = await indexedDB.databases();
    const open = indexedDB.open(database.name);
    await new Promise((done) => {
      open.onsuccess = done;
    });
    const transaction = open.result.transaction(open.result.objectStoreNames);
    const counts = await Promise.all(
      ['journal', 'outgoing'].map(
        (name) =>
          new Promise((done) => {
            const count = transaction.objectStore(name).count();
            count.onsuccess = () => done(count.result);
          }),
      ),
    );
    const session = await new Promise((done) => {
      const found = transaction.objectStore('session').get('session');
      found.onsuccess = () => done(found.result);
    });
    return { counts, snapshot: session.snapshot, caches: await caches.keys() };
  });
  assert.deepEqual(left, { counts: [0, 0], snapshot: null, caches: [] });
  assert.deepEqual((await next.click('i90')).history, ['i60', 'i61', 'i80', 'i90']);
});

test('consent that comes during a visit keeps what happened before it', async () => {
  const tab = await stand.shopping();
  await tab.call('setConsent', true);
  await tab.click('i70');
  await tab.close();
  const next = await stand.visitor.tab();
  const state = await next.open({ server: stand.cloud.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i70']);
});

test('files are fetched once for all tabs and visits, and again when they are cleared', async () => {
  const files = () =>
    stand.cloud.requests.filter(({ path }) => path.startsWith('/artifacts/')).length;
  const first = await stand.shopping({ consent: true });
  assert.equal(files(), 3);
  const second = await stand.visitor.tab();
  await second.open({ server: stand.cloud.url, consent: true });
  assert.equal(files(), 3);
  await second.page.evaluate(() => window.tandem.Recommender.clearCache());
  await first.close();
  const third = await stand.visitor.tab();
  await third.open({ server: stand.cloud.url, consent: true });
  assert.equal(files(), 6);
});

test('after one visit it opens, recommends and learns with the network off', async () => {
  const tab = await stand.visitor.tab({ path: '/?installed' });
  // Once more, so that the site's service worker has seen all its files.
  await tab.page.reload();
  await tab.until('window.loaded === true');
  await tab.open({ server: stand.cloud.url, consent: true, events: true });
  await tab.listed();
  await tab.click('i60');
  await tab.click('i61');
  await tab.atRest(1);
  const online = await tab.call('recommend');
  await tab.close();

  await stand.visitor.context.setOffline(true);
  const next = await stand.visitor.tab({ path: '/?installed' });
  const state = await next.open({ server: stand.cloud.url, consent: true, events: true });
  assert.deepEqual(state.history, ['i60', 'i61']);
  const offline = await next.call('recommend');
  assert.deepEqual(ids(offline), ids(online));
  const clicked = await next.click(offline.items[0].item);
  assert.ok(clicked.items.length > 0);
  await next.until('window.rec.state().learned !== null');
  assert.ok((await next.call('recommend')).stats.learnSteps > online.stats.learnSteps);

  // What happened without a network goes out once there is one, each event once.
  await stand.visitor.context.setOffline(false);
  await next.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await next.page.waitForTimeout(3_000);
  const sent = stand.cloud.posted('/v1/events').flatMap(({ events }) => events);
  assert.deepEqual(
    sent.map(({ item }) => item),
    ['i60', 'i61', offline.items[0].item],
  );
  assert.equal(new Set(sent.map(({ id }) => id)).size, 3);
});

test('in shadow mode the server learns a number and nothing else', async () => {
  const tab = await stand.visitor.tab();
  await tab.open({ server: stand.cloud.url, shadow: true });
  await tab.click('i60');
  await tab.click('i61');
  await tab.call('recommend');
  const apart = await tab.call('compare', stand.cloud.items.slice(0, 30));
  assert.ok(apart > 0);
  const posts = stand.cloud.requests.filter(({ method }) => method === 'POST');
  assert.deepEqual(
    posts.map(({ path, body }) => [path, JSON.parse(body)]),
    [['/v1/disagreements', { disagreement: Math.round(apart * 100) / 100 }]],
  );
  assert.ok(!JSON.stringify(stand.cloud.requests).includes('i60'));
});

test('a fetch of the page’s own carries every request', async () => {
  const tab = await stand.visitor.tab();
  const asked = await tab.page.evaluate(async (server) => {
    const seen = [];
    await window.open_({
      server,
      fetch: (url, init) => {
        seen.push(new URL(url).pathname);
        return fetch(url, init);
      },
    });
    await window.rec.recommend();
    await new Promise((done) => setTimeout(done, 500));
    return seen;
  }, stand.cloud.url);
  assert.equal(asked.filter((path) => path.startsWith('/artifacts/')).length, 3);
  assert.ok(asked.includes('/v1/manifest') && asked.includes('/v1/candidates'));
});

test('calls at once, two recommenders in a page, and after the end', async () => {
  const tab = await stand.visitor.tab();
  const outcome = await tab.page.evaluate(async (server) => {
    const { createRecommender } = window.tandem;
    const [one, two] = await Promise.all([
      createRecommender({ server }),
      createRecommender({ server }),
    ]);
    const answers = await Promise.all([
      one.track({ type: 'click', item: 'i1' }),
      one.track({ type: 'click', item: 'i2' }),
      one.undo(),
      one.track({ type: 'click', item: 'i3' }),
      two.track({ type: 'click', item: 'i4' }),
    ]);
    const pending = one.track({ type: 'click', item: 'i5' }).catch(({ code }) => code);
    one.dispose();
    const aborting = new AbortController();
    const opening = createRecommender({ server, signal: aborting.signal }).catch(
      ({ code }) => code,
    );
    aborting.abort();
    return {
      histories: [answers[3].history, answers[4].history],
      undone: answers[2].item,
      pending: await pending,
      after: await one.recommend().catch(({ code }) => code),
      undo: await one.undo().catch(({ code }) => code),
      opening: await opening,
      other: (await two.recommend()).history,
    };
  }, stand.cloud.url);
  assert.deepEqual(outcome, {
    histories: [['i1', 'i3'], ['i4']],
    undone: 'i2',
    pending: 'disposed',
    after: 'disposed',
    undo: 'disposed',
    opening: 'aborted',
    other: ['i4'],
  });
});
