/**
 * The same computation on every backend: native (results written by
 * `wasm-client/examples/parity_case.rs`), CPU WebAssembly in Node and Chromium, WebGPU in
 * Chromium.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch } from './browser.mjs';
import { outputFile } from './environment.mjs';

/** A secure context without a server: all requests are served from files. */
const ORIGIN = 'http://localhost:4173';
const wasm = (device, file) => new URL(`../bench/wasm/${device}/${file}`, import.meta.url);

const folder = outputFile('parity');
const config = await readFile(join(folder, 'config.json'), 'utf8');
const { history, candidates, expected } = JSON.parse(
  await readFile(join(folder, 'case.json'), 'utf8'),
);

let browser;
before(async () => {
  browser = await launch({ webgpu: true });
});
after(() => browser?.close());

test('WebAssembly in Node gives the results of the native program', async () => {
  const { default: init, parity } = await import(wasm('cpu', 'tandem.js').href);
  await init({ module_or_path: await readFile(wasm('cpu', 'tandem_bg.wasm')) });
  const [body, rows] = await Promise.all(
    ['body.safetensors', 'rows.bin'].map((file) => readFile(join(folder, file))),
  );
  agrees(await parity(body, rows, config, Uint32Array.from(history), Uint32Array.from(candidates)));
});

for (const device of ['cpu', 'webgpu']) {
  test(`${device} in Chromium gives the results of the native program`, async () => {
    const page = await browser.newPage();
    await page.route(`${ORIGIN}/**`, async (route) => {
      const name = new URL(route.request().url()).pathname.slice(1);
      if (name === '') return route.fulfill({ contentType: 'text/html', body: '<title>p</title>' });
      const file = name.startsWith('tandem')
        ? wasm(device, name)
        : pathToFileURL(join(folder, name));
      const type = { js: 'text/javascript', wasm: 'application/wasm' }[name.split('.').at(-1)];
      return route.fulfill({
        contentType: type ?? 'application/octet-stream',
        body: await readFile(file),
      });
    });
    await page.goto(`${ORIGIN}/`);
    const outcome = await page.evaluate(
      async ({ config, history, candidates }) => {
        const bytes = async (file) => new Uint8Array(await (await fetch(file)).arrayBuffer());
        const module = '/tandem.js';
        const { default: init, parity } = await import(module);
        await init({ module_or_path: '/tandem_bg.wasm' });
        const [body, rows] = await Promise.all([bytes('/body.safetensors'), bytes('/rows.bin')]);
        return parity(body, rows, config, Uint32Array.from(history), Uint32Array.from(candidates));
      },
      { config, history, candidates },
    );
    agrees(outcome);
    await page.close();
  });
}

function agrees(outcome) {
  assert.equal(outcome.scores.length, candidates.length);
  within(outcome.scores, expected.scores, 1e-4, 'scores');
  within([outcome.loss], [expected.loss], 1e-3, 'loss');
  within(outcome.scoresAfter, expected.scoresAfter, 1e-3, 'scores after a step');
  // Rules out a learning step without effect.
  assert.notDeepEqual(outcome.scoresAfter, outcome.scores);
}

function within(found, wanted, tolerance, what) {
  const apart = Math.max(...found.map((value, at) => Math.abs(value - wanted[at])));
  assert.ok(apart <= tolerance, `${what} are ${apart} apart, more than ${tolerance}`);
  console.error(`  largest difference of ${what}: ${apart.toExponential(1)}`);
}
