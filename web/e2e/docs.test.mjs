/** The documentation site: its links, and its pages below a path and under a strict policy. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';
import { outputFile } from './environment.mjs';
import { serve } from './static-server.mjs';

const built = fileURLToPath(new URL('../../docs-site/dist', import.meta.url));
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** A page of each kind: the home page, a document, a document with plots, the reference. */
const PAGES = ['index', 'package', 'quality', 'classes/_tandem-rec_client.Recommender'];

let browser;
let site;
before(async () => {
  const root = outputFile('docs-site');
  await rm(root, { recursive: true, force: true });
  await cp(built, join(root, 'some/path/docs'), { recursive: true });
  site = await serve(root, { cloud: '', types: { '.svg': 'image/svg+xml' } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await site?.close();
});

/** Opens a page with the errors and warnings of the browser. */
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', ({ message }) => complaints.push(message));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  await page.goto(`${site.url}/some/path/docs/${path}.html`);
  await page.locator('#tsd-nav-container a').first().waitFor({ state: 'attached' });
  return { page, complaints, close: () => context.close() };
}

test('every link leads to a file of the site, and to a heading that exists', async () => {
  const names = await readdir(built, { recursive: true });
  const pages = new Map();
  for (const name of names.filter((file) => file.endsWith('.html'))) {
    pages.set(name, await readFile(join(built, name), 'utf8'));
  }
  const ids = (page) => new Set([...page.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id));
  const broken = [];
  let followed = 0;
  for (const [name, html] of pages) {
    const own = ids(html);
    for (const [, link] of html.matchAll(/\s(?:href|src|srcset)="([^"]*)"/g)) {
      if (/^[a-z]+:/.test(link) || link === '#') continue;
      const [path, anchor] = link.split('#');
      const target = path === '' ? name : normalize(join(dirname(name), path));
      // The demo is outside of this site.
      if (target.startsWith('..')) continue;
      followed += 1;
      const exists = names.includes(target.replace(/\/$/, '')) || target === './';
      const page = anchor && target.endsWith('.html') ? pages.get(target) : undefined;
      const found =
        page === undefined || (target === name ? own : ids(page)).has(decodeURI(anchor));
      if (!exists || !found) broken.push(`${name}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
  assert.ok(followed > 1000, `only ${followed} links were found`);
});

for (const path of PAGES) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${path} in ${colorScheme} colours works below a path under a strict policy`, async () => {
      const { page, complaints, close } = await open(path, { colorScheme });
      const images = await page
        .locator('.col-content img')
        .evaluateAll((all) =>
          Promise.all(all.map((image) => image.decode().then(() => image.naturalWidth))),
        );
      assert.ok(
        images.every((width) => width > 0),
        images.join(),
      );
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(background, colorScheme === 'dark' ? 'rgb(15, 17, 22)' : 'rgb(255, 255, 255)');
      const name = `docs-${path.replace(/\W/g, '-')}-${colorScheme}.png`;
      await page.screenshot({ path: outputFile(name) });
      assert.deepEqual(complaints, []);
      assert.deepEqual(site.violations, []);
      await close();
    });
  }

  test(`${path} fits a narrow window`, async () => {
    const { page, close } = await open(path, { viewport: { width: 360, height: 740 } });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    await page.screenshot({ path: outputFile(`docs-${path.replace(/\W/g, '-')}-narrow.png`) });
    assert.ok(width <= 360, `${width} pixels`);
    await close();
  });
}

test('the search finds a document and a method, and leads to them', async () => {
  const { page, complaints, close } = await open('index');
  for (const [query, path] of [
    ['withstands', 'reliability.html'],
    ['setExcluded', 'classes/_tandem-rec_client.Recommender.html#setexcluded'],
  ]) {
    await page.locator('#tsd-search-trigger').click();
    await page.locator('#tsd-search-input').fill(query);
    await page.locator('#tsd-search-results a').first().click();
    await page.waitForURL(`${site.url}/some/path/docs/${path}`);
  }
  assert.deepEqual(complaints, []);
  await close();
});

test('navigation, neighbours and the way to the demo', async () => {
  const { page, close } = await open('package');
  const groups = await page
    .locator('#tsd-nav-container > li > details')
    .evaluateAll((all) =>
      all.map(({ open: shown, firstElementChild }) => [firstElementChild.textContent, shown]),
    );
  const names = [
    'Start',
    'Guides',
    'Server',
    'Method and evidence',
    'Development',
    'API reference',
  ];
  assert.deepEqual(
    groups,
    names.map((name) => [name, true]),
  );
  const demo = page.getByRole('link', { name: 'Demo', exact: true }).first();
  assert.equal(await demo.evaluate(({ href }) => href), `${site.url}/some/path/`);
  await page.locator('.neighbours [rel=next]').click();
  await page.waitForURL('**/examples.html');
  await close();
});

test('the reader can choose the colours', async () => {
  const { page, close } = await open('package', { colorScheme: 'light' });
  await page.locator('.tsd-theme-toggle, summary', { hasText: 'Settings' }).first().click();
  await page.locator('#tsd-theme').selectOption('dark');
  await page.reload();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await close();
});

test('pages of documents have no violations of WCAG 2 A and AA', async () => {
  const { page, close } = await open('package');
  await page.evaluate(await readFile(axe, 'utf8'));
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run('.col-content', { runOnly: ['wcag2a', 'wcag2aa'] }),
  );
  assert.deepEqual(
    violations.map(({ id, nodes }) => [id, nodes[0].html]),
    [],
  );
  await close();
});
