/** Which device the small model runs on, and what happens when the GPU goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Stand } from './package-stand.mjs';

const stand = new Stand({ webgpu: true });

/** How often the module for WebGPU was fetched so far. */
const fetched = () =>
  stand.site.requests.filter((path) => path === '/wasm/webgpu/tandem_bg.wasm').length;

/** What `auto` found. */
const trial = (tab) => tab.page.evaluate(() => window.rec.state().deviceTrial);

test('a GPU that is lost while it learns: the CPU goes on with the session', async () => {
  const tab = await stand.shopping({ device: 'webgpu' });
  assert.equal((await tab.state()).device, 'webgpu');
  // The click is answered, and learning begins with the paint.
  const { history: before } = await tab.click('i70');
  assert.deepEqual(before, ['i60', 'i61', 'i70']);
  const browser = await stand.browser.newBrowserCDPSession();
  await browser.send('Browser.crashGpuProcess');
  const { history, items } = await tab.click('i71');
  assert.ok((await tab.causes()).includes('restart'));
  assert.deepEqual(history, ['i60', 'i61', 'i70', 'i71']);
  assert.ok(items.length > 0);
  await tab.until('window.rec.state().learned?.step >= 3');
  const { status, device, deviceFallback } = await tab.state();
  assert.deepEqual([status, device, deviceFallback.code], ['ready', 'cpu', 'device_lost']);
  // Told where no call was there to wait for the CPU.
  for (const code of await tab.codes()) assert.equal(code, 'device_lost');
});

test('a GPU that is lost while nobody looks costs the next click nothing but time', async () => {
  const tab = await stand.shopping({ device: 'webgpu' });
  const browser = await stand.browser.newBrowserCDPSession();
  await browser.send('Browser.crashGpuProcess');
  const clicks = await Promise.all([tab.click('i70'), tab.click('i71')]);
  assert.deepEqual(
    clicks.map(({ history }) => history?.length),
    [3, 4],
  );
  assert.equal((await tab.state()).device, 'cpu');
});

test('auto leaves an adapter of software alone', async () => {
  const before = fetched();
  const tab = await stand.shopping({ consent: true });
  await tab.atRest(1);
  assert.equal((await tab.state()).device, 'cpu');
  assert.equal(await trial(tab), null);
  assert.equal(fetched(), before);
});

test('auto measures nothing that it may not remember', async () => {
  const before = fetched();
  const tab = await stand.shopping({ workerUrl: '/worker-on.js?card-a' });
  await tab.atRest(1);
  assert.equal(await trial(tab), null);
  assert.equal(fetched(), before);
});

test('auto measures an adapter once, in a worker of its own, and goes by what it found', async () => {
  const before = fetched();
  const on = (adapter) => ({
    server: stand.cloud.url,
    consent: true,
    workerUrl: `/worker-on.js?${adapter}`,
  });
  const tab = await stand.shopping(on('card-a'));
  await tab.atRest(1);
  const asked = stand.cloud.requests.length;
  const learnt = (await tab.state()).learned;
  await tab.until('window.rec.state().deviceTrial !== null', 100_000);
  const found = await trial(tab);
  assert.match(found.adapter, /card-a/);
  assert.ok(found.cpuMs > 0 && found.webgpuMs > 0);
  assert.equal(found.device, found.webgpuMs < found.cpuMs ? 'webgpu' : 'cpu');
  assert.equal(fetched(), before + 1);
  // It was measured on a copy, and without a word to anybody.
  assert.deepEqual(await tab.history(), ['i60', 'i61']);
  assert.deepEqual((await tab.state()).learned, learnt);
  assert.equal(stand.cloud.requests.length, asked);
  await tab.workersLeft(1);
  assert.deepEqual(await tab.codes(), []);
  await tab.close();

  const next = await stand.visitor.tab();
  const state = await next.open(on('card-a'));
  assert.deepEqual(state.deviceTrial, found);
  assert.equal(state.device, found.device);
  await next.click('i70');
  await next.atRest(state.stats.learnSteps + 1);
  assert.equal(next.page.workers().length, 1);
  await keepAsFaster('webgpu', next);
  await next.close();

  const onGpu = await stand.visitor.tab();
  const { device, history } = await onGpu.open(on('card-a'));
  assert.deepEqual([device, history], ['webgpu', ['i60', 'i61', 'i70']]);
  await onGpu.close();

  // With another card in the machine, what was found of the first does not count.
  const other = await stand.visitor.tab();
  const changed = await other.open(on('card-b'));
  assert.deepEqual([changed.device, changed.deviceFallback.code], ['cpu', 'no_adapter']);
  const trying = other.page.waitForEvent('worker');
  await other.click('i71');
  await trying;
});

/** As if the trial had gone the other way: no software adapter is ever the faster. */
function keepAsFaster(device, tab) {
  return tab.page.evaluate(async (faster) => {
    const cache = await caches.open('tandem-files');
    const key = (await cache.keys()).find(({ url }) => url.includes('/trial/'));
    const kept = await (await cache.match(key)).json();
    kept.trial.device = faster;
    await cache.put(key, Response.json(kept));
  }, device);
}
