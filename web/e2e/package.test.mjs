/** The package in Chromium, against a fake server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fixture } from './package-fixture.mjs';

const fixture = new Fixture();

const ids = ({ items }) => items.map(({ item }) => item);

test('a click re-ranks, is learnt from after the paint, and undo reverts both', async () => {
  const tab = await fixture.tabWithClicks();
  await tab.atRest(1);
  const before = await tab.call('recommend');
  await tab.click('i70');
  await tab.until('window.rec.state().learned?.step === 2');
  assert.notDeepEqual(ids(await tab.call('recommend')), ids(before));
  assert.deepEqual(await tab.call('undo'), { type: 'click', item: 'i70' });
  const after = await tab.call('recommend');
  assert.equal(after.stats.learnSteps, 1);
  assert.deepEqual(after.history, ['i60', 'i61']);
  // A new list may have arrived meanwhile; the items in both lists keep their order.
  const both = ids(before).filter((item) => ids(after).includes(item));
  assert.deepEqual(
    ids(after).filter((item) => both.includes(item)),
    both,
  );
});

test('explain, similar and compare work without a request', async () => {
  const tab = await fixture.tabWithClicks();
  await tab.atRest(1);
  await tab.call('setOffline', true);
  const asked = fixture.server.requests.length;
  const { items } = await tab.call('recommend');
  const why = await tab.call('explain', items[3].item);
  assert.equal(why.rank, 3);
  assert.equal(why.of, items.length);
  assert.deepEqual(why.item, items[3]);
  assert.deepEqual(why.contributions.map(({ item }) => item).sort(), ['i60', 'i61']);
  assert.equal(await tab.call('explain', 'i60'), null);
  const similar = await tab.call('similar', 'i60', { k: 5 });
  assert.equal(similar.length, 5);
  assert.ok(similar.every(({ item, similarity }) => item !== 'i60' && Math.abs(similarity) <= 1));
  assert.ok(similar[0].similarity >= similar[4].similarity);
  const own = fixture.server.items.slice(0, 20);
  const apart = await tab.call('compare', own);
  assert.ok(apart > 0 && apart <= 1);
  assert.equal(fixture.server.requests.length, asked);
});

test('rules, exclusions and filters are never sent', async () => {
  const tab = await fixture.tabWithClicks();
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

test('the ledger lists every request with its exact body', async () => {
  const tab = await fixture.tabWithClicks({ key: 'pub_1' });
  await tab.page.waitForTimeout(500);
  const { entries, bytes, dropped } = await tab.call('ledger');
  // Files that are fetched at the same time arrive in any order.
  const inOrder = (requests) => requests.map((parts) => parts.join(' ')).sort();
  assert.deepEqual(
    inOrder(entries.map(({ method, url, body }) => [method, new URL(url).pathname, body ?? ''])),
    inOrder(fixture.server.requests.map(({ method, path, body }) => [method, path, body])),
  );
  const sent = fixture.server.requests.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0);
  assert.deepEqual([bytes, dropped], [sent, 0]);
  assert.ok(entries.every(({ why, status }) => why !== '' && status === 200));
  assert.ok(fixture.server.requests.every(({ authorization }) => authorization === 'Bearer pub_1'));
});

test('useModel requests a list from another language model', async () => {
  const tab = await fixture.tabWithClicks();
  assert.deepEqual(
    (await tab.call('models')).map(({ name }) => name),
    ['small', 'large'],
  );
  await tab.call('useModel', 'large');
  await tab.until(
    `window.seen.some(({ name, payload }) => name === 'update' && payload.model === 'large')`,
  );
  assert.equal(fixture.server.posted('/v1/candidates').at(-1).model, 'large');
  assert.equal((await tab.state()).model, 'large');
});

test('without consent nothing is stored', async () => {
  const tab = await fixture.tabWithClicks();
  await tab.atRest(1);
  const kept = await tab.page.evaluate(async () => [
    (await indexedDB.databases()).length,
    (await caches.keys()).length,
    localStorage.length,
    document.cookie,
  ]);
  assert.deepEqual(kept, [0, 0, 0, '']);
  await tab.close();
  const next = await fixture.visitor.tab();
  assert.deepEqual((await next.open({ server: fixture.server.url, consent: true })).history, []);
});

test('with consent the session is restored; withdrawing consent erases it', async () => {
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.atRest(1);
  const learnt = await tab.call('recommend');
  await tab.click('i80');
  // Closed immediately: an acknowledged click must be stored.
  await tab.close();
  const next = await fixture.visitor.tab();
  const state = await next.open({ server: fixture.server.url, consent: true });
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

test('consent during a visit also stores earlier events', async () => {
  const tab = await fixture.tabWithClicks();
  await tab.call('setConsent', true);
  await tab.click('i70');
  await tab.close();
  const next = await fixture.visitor.tab();
  const state = await next.open({ server: fixture.server.url, consent: true });
  assert.deepEqual(state.history, ['i60', 'i61', 'i70']);
});

test('files are fetched once for all tabs and visits, and again after clearCache', async () => {
  const files = () =>
    fixture.server.requests.filter(({ path }) => path.startsWith('/artifacts/')).length;
  const first = await fixture.tabWithClicks({ consent: true });
  assert.equal(files(), 3);
  const second = await fixture.visitor.tab();
  await second.open({ server: fixture.server.url, consent: true });
  assert.equal(files(), 3);
  await second.page.evaluate(() => window.tandem.Recommender.clearCache());
  await first.close();
  const third = await fixture.visitor.tab();
  await third.open({ server: fixture.server.url, consent: true });
  assert.equal(files(), 6);
});

test('after one visit the package opens, recommends and learns without a network', async () => {
  const tab = await fixture.visitor.tab({ path: '/?installed' });
  // A second load, so that the service worker of the site caches all files.
  await tab.page.reload();
  await tab.until('window.loaded === true');
  await tab.open({ server: fixture.server.url, consent: true, events: true });
  await tab.listed();
  await tab.click('i60');
  await tab.click('i61');
  await tab.atRest(1);
  const online = await tab.call('recommend');
  await tab.close();

  await fixture.visitor.context.setOffline(true);
  const next = await fixture.visitor.tab({ path: '/?installed' });
  const state = await next.open({ server: fixture.server.url, consent: true, events: true });
  assert.deepEqual(state.history, ['i60', 'i61']);
  const offline = await next.call('recommend');
  assert.deepEqual(ids(offline), ids(online));
  const clicked = await next.click(offline.items[0].item);
  assert.ok(clicked.items.length > 0);
  await next.until('window.rec.state().learned !== null');
  assert.ok((await next.call('recommend')).stats.learnSteps > online.stats.learnSteps);

  // Events from offline use are sent once the network is back, each exactly once.
  await fixture.visitor.context.setOffline(false);
  await next.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await next.page.waitForTimeout(3_000);
  // A request whose answer the closed page did not get is sent again, with the same ids: a server
  // stores each once.
  const sent = fixture.server.posted('/v1/events').flatMap(({ events }) => events);
  const stored = [...new Map(sent.map((event) => [event.id, event])).values()];
  assert.deepEqual(
    stored.map(({ item }) => item),
    ['i60', 'i61', offline.items[0].item],
  );
});

test('in shadow mode only the disagreement is sent', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open({ server: fixture.server.url, shadow: true });
  await tab.click('i60');
  await tab.click('i61');
  await tab.call('recommend');
  const apart = await tab.call('compare', fixture.server.items.slice(0, 30));
  assert.ok(apart > 0);
  const posts = fixture.server.requests.filter(({ method }) => method === 'POST');
  assert.deepEqual(
    posts.map(({ path, body }) => [path, JSON.parse(body)]),
    [['/v1/disagreements', { disagreement: Math.round(apart * 100) / 100 }]],
  );
  assert.ok(!JSON.stringify(fixture.server.requests).includes('i60'));
});

test('the fetch option carries every request', async () => {
  const tab = await fixture.visitor.tab();
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
  }, fixture.server.url);
  assert.equal(asked.filter((path) => path.startsWith('/artifacts/')).length, 3);
  assert.ok(asked.includes('/v1/manifest') && asked.includes('/v1/candidates'));
});

test('concurrent calls, two recommenders on a page, calls after dispose', async () => {
  const tab = await fixture.visitor.tab();
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
  }, fixture.server.url);
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
