/** Error messages for pages whose Content-Security-Policy or server blocks the package. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { serverUrl } from './environment.mjs';
import { ExamplePage } from './example-page.mjs';
import { build, install, pack } from './example-project.mjs';
import { STRICT, serve } from './static-server.mjs';

let browser;
let folder;
before(async () => {
  browser = await launch();
  folder = await build(await install('script-tag', await pack()));
});
after(() => browser?.close());

async function inPage(how, play) {
  const site = await serve(folder, { cloud: serverUrl(), ...how });
  const example = await ExamplePage.open(browser, site.url);
  try {
    await play(example, site);
  } finally {
    await example.close();
    await site.close();
  }
}

for (const [missing, policy, reason] of [
  ['WebAssembly', { 'script-src': "'self'" }, /wasm-unsafe-eval/],
  ['the worker', { 'worker-src': "'none'" }, /worker could not be loaded.*worker-src/],
  ['the server', { 'connect-src': "'self'" }, /No recommendations: .*127\.0\.0\.1/],
]) {
  test(`an error names the policy directive that blocks ${missing}`, async () => {
    await inPage({ policy: { ...STRICT, ...policy } }, async (example) => {
      assert.match(await example.says(/No recommendations/), reason);
    });
  });
}

test('an HTML page instead of the WebAssembly file gives an error that explains it', async () => {
  await inPage({ answers: { '.wasm': '/index.html' } }, async (example) => {
    const message = await example.says(/No recommendations/);
    assert.match(message, /tandem_bg\.wasm could not be compiled: check that it is this package/);
  });
});

test('the package needs neither eval nor blob URLs: no violation of the strict policy', async () => {
  await inPage({}, async (example, site) => {
    const list = await example.firstList();
    await example.click(list[0]);
    assert.deepEqual(site.violations, []);
    assert.deepEqual(example.complaints, []);
  });
});

test('WebAssembly files may be served with any content type', async () => {
  await inPage({ types: { '.wasm': 'text/plain' } }, async (example) => {
    assert.equal((await example.firstList()).length, 12);
    assert.deepEqual(example.complaints, []);
  });
});

test('a cross-origin isolated page needs no further configuration', async () => {
  const headers = {
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  };
  await inPage({ headers }, async (example) => {
    assert.equal((await example.firstList()).length, 12);
    assert.ok(await example.page.evaluate(() => crossOriginIsolated));
    assert.deepEqual(example.complaints, []);
  });
});

test('an inline script must pass workerUrl and wasmUrl', async () => {
  const policy = { ...STRICT, 'script-src': "'self' 'unsafe-inline' 'wasm-unsafe-eval'" };
  await inPage({ policy }, async ({ page }) => {
    const script = join(folder, 'tandem/dist/tandem.global.js');
    await page.addScriptTag({ content: await readFile(script, 'utf8') });
    const [refused, opened] = await page.evaluate(async (server) => {
      const { createRecommender } = window.Tandem;
      const error = await createRecommender({ server }).catch((caught) => caught);
      const addresses = { workerUrl: 'tandem/dist/tandem.worker.js', wasmUrl: 'tandem/wasm' };
      const recommender = await createRecommender({ server, ...addresses });
      return [`${error.code}: ${error.message}`, recommender.state().status];
    }, serverUrl());
    assert.match(refused, /^invalid_argument: workerUrl, wasmUrl: expected both/);
    assert.equal(opened, 'ready');
  });
});
