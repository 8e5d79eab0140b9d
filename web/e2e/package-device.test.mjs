/** Choice of the compute backend, and loss of the GPU. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fixture } from './package-fixture.mjs';

const fixture = new Fixture({ webgpu: true });

/** Number of requests for the WebGPU module so far. */
const webgpuFetches = () =>
  fixture.site.requests.filter((path) => path === '/wasm/webgpu/tandem_bg.wasm').length;

/** Result of the measurement by `device: 'auto'`. */
const trial = (tab) => tab.page.evaluate(() => window.rec.state().deviceTrial);

test('GPU lost during a learning step: the session continues on the CPU', async () => {
  const tab = await fixture.tabWithClicks({ device: 'webgpu' });
  assert.equal((await tab.state()).device, 'webgpu');
  // The click has been answered; learning starts after the paint.
  const { history: before } = await tab.click('i70');
  assert.deepEqual(before, ['i60', 'i61', 'i70']);
  const browser = await fixture.browser.newBrowserCDPSession();
  await browser.send('Browser.crashGpuProcess');
  const { history, items } = await tab.click('i71');
  assert.ok((await tab.causes()).includes('restart'));
  assert.deepEqual(history, ['i60', 'i61', 'i70', 'i71']);
  assert.ok(items.length > 0);
  await tab.until('window.rec.state().learned?.step >= 3');
  const { status, device, deviceFallback } = await tab.state();
  assert.deepEqual([status, device, deviceFallback.code], ['ready', 'cpu', 'device_lost']);
  // An `error` event is sent only if no call was waiting.
  for (const code of await tab.codes()) assert.equal(code, 'device_lost');
});

test('GPU lost between clicks: the next clicks succeed on the CPU', async () => {
  const tab = await fixture.tabWithClicks({ device: 'webgpu' });
  const browser = await fixture.browser.newBrowserCDPSession();
  await browser.send('Browser.crashGpuProcess');
  const clicks = await Promise.all([tab.click('i70'), tab.click('i71')]);
  assert.deepEqual(
    clicks.map(({ history }) => history?.length),
    [3, 4],
  );
  assert.equal((await tab.state()).device, 'cpu');
});

test('auto does not measure software adapters', async () => {
  const before = webgpuFetches();
  const tab = await fixture.tabWithClicks({ consent: true });
  await tab.atRest(1);
  assert.equal((await tab.state()).device, 'cpu');
  assert.equal(await trial(tab), null);
  assert.equal(webgpuFetches(), before);
});

test('auto does not measure without consent', async () => {
  const before = webgpuFetches();
  const tab = await fixture.tabWithClicks({ workerUrl: '/worker-on.js?card-a' });
  await tab.atRest(1);
  assert.equal(await trial(tab), null);
  assert.equal(webgpuFetches(), before);
});

test('auto measures an adapter once, in a separate worker, and uses the faster device', async () => {
  const before = webgpuFetches();
  const on = (adapter) => ({
    server: fixture.server.url,
    consent: true,
    workerUrl: `/worker-on.js?${adapter}`,
  });
  const tab = await fixture.tabWithClicks(on('card-a'));
  await tab.atRest(1);
  const asked = fixture.server.requests.length;
  const learnt = (await tab.state()).learned;
  await tab.until('window.rec.state().deviceTrial !== null', 100_000);
  const found = await trial(tab);
  assert.match(found.adapter, /card-a/);
  assert.ok(found.cpuMs > 0 && found.webgpuMs > 0);
  assert.equal(found.device, found.webgpuMs < found.cpuMs ? 'webgpu' : 'cpu');
  assert.equal(webgpuFetches(), before + 1);
  // The measurement ran on a copy of the session and sent no requests.
  assert.deepEqual(await tab.history(), ['i60', 'i61']);
  assert.deepEqual((await tab.state()).learned, learnt);
  assert.equal(fixture.server.requests.length, asked);
  await tab.workersLeft(1);
  assert.deepEqual(await tab.codes(), []);
  await tab.close();

  const next = await fixture.visitor.tab();
  const state = await next.open(on('card-a'));
  assert.deepEqual(state.deviceTrial, found);
  assert.equal(state.device, found.device);
  await next.click('i70');
  await next.atRest(state.stats.learnSteps + 1);
  assert.equal(next.page.workers().length, 1);
  await storeAsFaster('webgpu', next);
  await next.close();

  const onGpu = await fixture.visitor.tab();
  const { device, history } = await onGpu.open(on('card-a'));
  assert.deepEqual([device, history], ['webgpu', ['i60', 'i61', 'i70']]);
  await onGpu.close();

  // The result does not apply to another adapter.
  const other = await fixture.visitor.tab();
  const changed = await other.open(on('card-b'));
  assert.deepEqual([changed.device, changed.deviceFallback.code], ['cpu', 'no_adapter']);
  const trying = other.page.waitForEvent('worker');
  await other.click('i71');
  await trying;
});

/** Overwrites the stored result: a software adapter is never the faster device. */
function storeAsFaster(device, tab) {
  return tab.page.evaluate(async (faster) => {
    const cache = await caches.open('tandem-files');
    const key = (await cache.keys()).find(({ url }) => url.includes('/trial/'));
    const kept = await (await cache.match(key)).json();
    kept.trial.device = faster;
    await cache.put(key, Response.json(kept));
  }, device);
}
