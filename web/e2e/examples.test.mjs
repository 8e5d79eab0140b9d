/** The examples, built from the packed package and run under a strict policy. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { launch } from './browser.mjs';
import { serverUrl } from './environment.mjs';
import { ExamplePage } from './example-page.mjs';
import { build, install, installAlone, pack } from './example-project.mjs';
import { STRICT, serve, withCloud } from './static-server.mjs';

let browser;
let tarball;
before(async () => {
  [browser, tarball] = await Promise.all([launch(), pack()]);
});
after(() => browser?.close());

const SMALL = ['script-tag', 'vite', 'webpack', 'react', 'vue', 'svelte', 'sveltekit', 'element'];
/** Not in the workspace of the repository: hundreds of packages of their own. */
const LARGE = process.env.TANDEM_ALL_EXAMPLES === '1' ? ['nextjs', 'angular'] : [];
/** These frameworks start their pages by inline scripts. */
const INLINE = ['sveltekit', 'nextjs'];
/** SvelteKit hides its text for screen readers by a style attribute. */
const ANNOUNCER = "'self' 'unsafe-hashes' 'sha256-S8qMpvofolR8Mpjy4kQvEm7m1q8clzU4dfDH0AmvZjo='";

for (const name of [...SMALL, ...LARGE]) {
  test(`${name}: the build from the tarball recommends under a strict policy`, async () => {
    const project = await (LARGE.includes(name) ? installAlone : install)(name, tarball);
    const folder = await build(project, { NEXT_PUBLIC_TANDEM_SERVER: serverUrl() });
    const site = await serve(folder, {
      cloud: serverUrl(),
      inlineScripts: INLINE.includes(name),
      policy: name === 'sveltekit' ? { ...STRICT, 'style-src': ANNOUNCER } : STRICT,
    });
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
