/** The examples of the documentation site run with the package, when the demo is beside the site. */
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';
import { outputFile } from './environment.mjs';
import { FakeServer } from './fake-server.mjs';
import { serve } from './static-server.mjs';

const repository = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

let browser;
let cloud;
let files;
let demo;
before(async () => {
  const root = outputFile('docs-with-demo');
  await rm(root, { recursive: true, force: true });
  await cp(repository('docs-site/dist'), join(root, 'shop/docs'), { recursive: true });
  await cp(repository('docs-site/run.js'), join(root, 'shop/docs/assets/run.js'));
  await cp(repository('docs-site/dist'), join(root, 'alone/docs'), { recursive: true });
  for (const part of ['dist', 'wasm/cpu']) {
    await cp(repository(`pkg/${part}`), join(root, 'shop/package', part), { recursive: true });
  }
  cloud = await FakeServer.start({ popular: Array.from({ length: 20 }, (_, at) => `i${60 + at}`) });
  files = await serve(root, { cloud: '' });
  demo = await together(files.url, cloud.url);
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await Promise.all([demo?.close(), files?.close(), cloud?.close()]);
});

/** One origin for both servers, as the demo's server is: the cloud's paths are below `/shop/`. */
async function together(site, server) {
  const both = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const isCloud = /^\/shop\/(v1|artifacts)\//.test(request.url);
    const target = isCloud ? server + request.url.slice('/shop'.length) : site + request.url;
    const answer = await fetch(target, {
      method: request.method,
      ...(body.length === 0 ? {} : { body }),
    });
    const kept = ['content-type', 'content-security-policy', 'x-artifacts', 'cache-control'];
    const headers = kept.flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value]];
    });
    response.writeHead(answer.status, Object.fromEntries(headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((ready) => both.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${both.address().port}/shop/docs`,
    close: () => {
      both.closeAllConnections();
      return new Promise((closed) => both.close(closed));
    },
  };
}

for (const path of ['index', 'package']) {
  test(`the example of the page ${path} runs and shows its items`, async () => {
    const page = await (await browser.newContext()).newPage();
    const faults = [];
    page.on('pageerror', ({ message }) => faults.push(message));
    await page.goto(`${demo.url}/${path}.html`);
    const before = cloud.posted('/v1/candidates').length;
    const button = page.getByRole('button', { name: 'Run' }).first();
    const note = page.locator('.run .with').first();
    await note.getByText('Runs with this demo’s server and the film “i60” (item i60).').waitFor();
    await button.click();
    await page.locator('.run output li').nth(11).waitFor();
    assert.equal(await page.locator('.run output li').count(), 12);
    assert.ok(cloud.posted('/v1/candidates').length > before, 'no list was requested');
    // It can be run again, in the same page.
    await button.click();
    await page.locator('.run output li').nth(11).waitFor();
    assert.deepEqual(faults, []);
    assert.deepEqual(files.violations, []);
    await page.screenshot({ path: outputFile(`docs-run-${path}.png`) });
    await page.context().close();
  });
}

test('without the demo beside it a page has no buttons', async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${files.url}/alone/docs/package.html`);
  await page.waitForLoadState('networkidle');
  assert.ok((await page.locator('.run').count()) > 0);
  assert.equal(await page.getByRole('button', { name: 'Run' }).isVisible(), false);
  await page.context().close();
});
