/** Visits of several pages: names in the event log, pages that are left, profiles, workers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Fixture } from './package-fixture.mjs';
import { servePackage } from './package-page.mjs';
import { STRICT } from './static-server.mjs';

const fixture = new Fixture({ backForwardCache: true });

/** Sites of other origins or policies, which have no tests of their own. */
const sites = {};
before(async () => {
  const policy = { ...STRICT, 'worker-src': "'self' http://127.0.0.1:*" };
  const trusted = { 'require-trusted-types-for': "'script'", 'trusted-types': 'tandem' };
  const header = (directives) => ({
    'content-security-policy': Object.entries(directives)
      .map(([directive, sources]) => `${directive} ${sources}`)
      .join('; '),
  });
  sites.anyWorker = await servePackage({ headers: header(policy) });
  sites.trusted = await servePackage({ headers: header({ ...STRICT, ...trusted }) });
  sites.ownPolicy = await servePackage({
    headers: header({ ...STRICT, ...trusted, 'trusted-types': 'shop' }),
  });
});
after(() => Promise.all(Object.values(sites).map((site) => site.close())));

/** Session and item of every event in the server's log, which drops repeated ids. */
function loggedItems() {
  const sent = fixture.server
    .posted('/v1/events')
    .flatMap(({ session, events }) => events.map(({ id, item }) => [id, [session, item]]));
  return [...new Map(sent).values()];
}
const options = (changes = {}) => ({ server: fixture.server.url, events: true, ...changes });

/** Opens another page of the site in the same tab. */
async function go(tab, path, changes) {
  await tab.page.goto(`${fixture.site.url}${path}`);
  await tab.until('window.loaded === true');
  await tab.open(options(changes));
}

/**
 * Leaves the page, calls `onNextPage` on the next one and goes back, until the browser has kept
 * the page. The browser decides by itself: it keeps none with a request in flight, which a busy
 * machine may delay.
 */
async function returnToKeptPage(tab, onNextPage) {
  for (let visit = 1; visit <= 3; visit += 1) {
    if (visit > 1) await go(tab, '/', { consent: true });
    await tab.page.evaluate(() => {
      window.kept = true;
    });
    await tab.page.waitForTimeout(1_000 * visit);
    await go(tab, '/?next', { consent: true });
    await onNextPage();
    await tab.page.goBack({ waitUntil: 'commit' });
    const kept = await tab.until('window.kept === true', 5_000).then(
      () => true,
      () => false,
    );
    if (kept) return;
  }
  assert.fail('the browser kept none of three pages');
}

/** A click on a link: the event is tracked, and the page is left in the same task. */
async function clickLink(tab, item, path) {
  await Promise.all([
    tab.page.waitForURL(`**${path}`),
    tab.page.evaluate(
      ([clicked, address]) => {
        window.rec.track({ type: 'click', item: clicked }).catch(() => undefined);
        location.href = address;
      },
      [item, path],
    ),
  ]);
  await tab.until('window.loaded === true');
}

/** Waits for events at the server. */
async function arrived(tab, count) {
  for (let tries = 0; loggedItems().length < count && tries < 100; tries += 1) {
    await tab.page.waitForTimeout(50);
  }
}

test('clicks on links of five pages are logged, each once, under one name', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open(options());
  for (let number = 1; number <= 5; number += 1) {
    await clickLink(tab, `i${number}`, `/?page${number}`);
    await tab.open(options());
  }
  await arrived(tab, 5);
  const events = loggedItems();
  assert.deepEqual(
    events.map(([, item]) => item),
    ['i1', 'i2', 'i3', 'i4', 'i5'],
  );
  assert.equal(new Set(events.map(([session]) => session)).size, 1);
  // Another tab is another visit.
  const other = await fixture.visitor.tab();
  await other.open(options());
  await clickLink(other, 'i9', '/?other');
  await arrived(other, 6);
  assert.notEqual(loggedItems().at(-1)[0], events[0][0]);
});

test('with consent a visitor has one name in all tabs; a userId replaces it', async () => {
  for (const [item, changes] of [
    ['i1', { consent: true }],
    ['i2', { consent: true }],
    ['i3', { consent: true, userId: 'u-42' }],
  ]) {
    const tab = await fixture.visitor.tab();
    await tab.open(options(changes));
    await clickLink(tab, item, `/?${item}`);
    await arrived(tab, Number(item.slice(1)));
    await tab.close();
  }
  const [[first], [second], [third]] = loggedItems();
  assert.equal(second, first);
  assert.equal(third, 'u-42');
});

test('after a withdrawal of consent nothing is sent, on this page and later ones', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open(options({ consent: true }));
  await tab.click('i1');
  await tab.call('setConsent', false);
  await clickLink(tab, 'i2', '/?later');
  await tab.open(options());
  await clickLink(tab, 'i3', '/?latest');
  await tab.page.waitForTimeout(2_500);
  assert.deepEqual(loggedItems(), []);
  await tab.open(options({ consent: true }));
  await clickLink(tab, 'i4', '/?agreed');
  await arrived(tab, 1);
  assert.deepEqual(
    loggedItems().map(([, item]) => item),
    ['i4'],
  );
});

for (const status of [401, 403]) {
  test(`events wait while the server refuses the key with ${status}, and an error tells`, async () => {
    const tab = await fixture.visitor.tab();
    await tab.open(options({ consent: true }));
    await tab.listed();
    fixture.server.fault = status;
    await tab.click('i1');
    await tab.until(`window.seen.some(({ name }) => name === 'error')`);
    assert.deepEqual(await tab.codes(), ['unauthorized']);
    fixture.server.fault = null;
    const refused = fixture.server.posted('/v1/events').length;
    await go(tab, '/?later', { consent: true });
    for (let tries = 0; tries < 100; tries += 1) {
      if (fixture.server.posted('/v1/events').length > refused) break;
      await tab.page.waitForTimeout(50);
    }
    const accepted = fixture.server.posted('/v1/events').slice(refused);
    assert.deepEqual(
      accepted.flatMap(({ events }) => events.map(({ item }) => item)),
      ['i1'],
    );
  });
}

test('profiles of one browser have sessions of their own', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open(options({ consent: true, profile: 'anna' }));
  await tab.click('i1');
  await go(tab, '/?ben', { consent: true, profile: 'ben' });
  assert.deepEqual(await tab.history(), []);
  await tab.click('i2');
  await go(tab, '/?anna', { consent: true, profile: 'anna' });
  assert.deepEqual(await tab.history(), ['i1']);
  await go(tab, '/?nobody', { consent: true });
  assert.deepEqual(await tab.history(), []);
});

test('a page returns from the back/forward cache, with the clicks of the page after it', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open(options({ consent: true }));
  await tab.listed();
  await tab.click('i1');
  const clicked = ['i1'];
  await returnToKeptPage(tab, async () => {
    clicked.push(`i${clicked.length + 1}`);
    await tab.click(clicked.at(-1));
  });
  await tab.until(`window.rec.state().history.length === ${clicked.length}`);
  assert.deepEqual((await tab.click('i9')).history, [...clicked, 'i9']);
  // The page waits again for the lock of its worker, so that it notices the worker's end.
  const [held, pending] = await tab.page.evaluate(async () => {
    const locks = await navigator.locks.query();
    return [locks.held, locks.pending].map((some) => some.map(({ name }) => name));
  });
  assert.equal(pending.length, 1);
  assert.ok(held.includes(pending[0]), `${held} ${pending}`);
});

test('a withdrawal on the next page reaches a page in the back/forward cache', async () => {
  const tab = await fixture.visitor.tab();
  await tab.open(options({ consent: true }));
  await returnToKeptPage(tab, () => tab.call('setConsent', false));
  await tab.until('window.rec.state().consent === false');
});

/** Outcome of opening a recommender on a page of another site: status, or code and message. */
async function opening(site, options) {
  const page = await fixture.visitor.context.newPage();
  await page.goto(`${site.url}/`);
  await page.waitForLoadState('load');
  return page.evaluate(
    async ([server, { workerUrl, policy }]) => {
      const address =
        policy === undefined
          ? workerUrl
          : window.trustedTypes
              .createPolicy(policy, { createScriptURL: (url) => url })
              .createScriptURL(workerUrl);
      const found = address === undefined ? {} : { workerUrl: address };
      return window.open_({ server, ...found }).then(
        ({ status }) => [status],
        ({ code, message }) => [code, message],
      );
    },
    [fixture.server.url, options],
  );
}

test('a worker of another origin is a typed error', async () => {
  const workerUrl = `${fixture.site.url}/dist/worker/index.js`;
  const [code, message] = await opening(sites.anyWorker, { workerUrl });
  assert.equal(code, 'worker_failed');
  assert.match(message, /only from the page’s own origin/);
});

test('Trusted Types: the policy of the package, one of the page, and an error without either', async () => {
  const workerUrl = '/dist/worker/index.js';
  assert.deepEqual(await opening(sites.trusted, { workerUrl }), ['ready']);
  assert.deepEqual(await opening(sites.ownPolicy, { workerUrl, policy: 'shop' }), ['ready']);
  const refused = [await opening(sites.trusted, {}), await opening(sites.ownPolicy, { workerUrl })];
  for (const [code, message] of refused) {
    assert.equal(code, 'worker_failed');
    assert.match(message, /pass workerUrl and allow this package’s policy/);
  }
});
