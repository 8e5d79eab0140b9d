/** The examples, built from the packed package and run under a strict policy. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch } from './browser.mjs';
import { serverUrl } from './environment.mjs';
import { ExamplePage } from './example-page.mjs';
import { build, install, pack } from './example-project.mjs';
import { serve, withCloud } from './static-server.mjs';

let browser;
let tarball;
before(async () => {
  [browser, tarball] = await Promise.all([launch(), pack()]);
});
after(() => browser?.close());

for (const name of ['script-tag', 'vite', 'webpack', 'react', 'vue', 'svelte', 'element']) {
  test(`${name}: the build from the tarball recommends under a strict policy`, async () => {
    const folder = await build(await install(name, tarball));
    const site = await serve(folder, { cloud: serverUrl() });
    try {
      await recommends(site.url, `example-${name}`);
      assert.deepEqual(site.violations, []);
    } finally {
      await site.close();
    }
  });
}

test('vite: the development server needs no extra settings', async () => {
  const root = await install('vite', tarball);
  const require = createRequire(join(root, 'vite.config.ts'));
  const vite = await import(pathToFileURL(require.resolve('vite')).href);
  const cloud = { name: 'cloud', transformIndexHtml: (html) => withCloud(html, serverUrl()) };
  const server = await vite.createServer({
    root,
    configFile: join(root, 'vite.config.ts'),
    logLevel: 'warn',
    plugins: [cloud],
    server: { host: '127.0.0.1', port: 0 },
  });
  try {
    await server.listen();
    const [url] = server.resolvedUrls.local;
    await recommends(url, 'example-vite-dev');
  } finally {
    await server.close();
  }
});

/** Checks the first list, the list after a click, and that the browser reports no errors. */
async function recommends(url, name) {
  const example = await ExamplePage.open(browser, url);
  try {
    const before = await example.firstList();
    assert.equal(new Set(before).size, 12, before.join());
    await example.click(before[2]);
    const later = await example.items();
    assert.equal(new Set(later).size, 12, later.join());
    assert.notDeepEqual(later, before);
    assert.match(await example.status(), /\S/);
    await example.screenshot(name);
    assert.deepEqual(example.complaints, []);
  } finally {
    await example.close();
  }
}
