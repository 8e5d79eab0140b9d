/** The controls in the drawer and the genres below the lists: each changes what the page shows. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { serverUrl } from './environment.mjs';
import { ShopPage } from './shop-page.mjs';

/** A list is at most 20 clicks old; two more clicks can lead to a call of their own. */
const MOST_CLICKS = 24;

let browser;
before(async () => {
  // With a software adapter for WebGPU. The page uses it only where a test asks for it.
  browser = await launch({ webgpu: true });
});
after(() => browser?.close());

async function inShop(play) {
  const shop = await ShopPage.open(browser, serverUrl());
  try {
    await shop.ready();
    await play(shop);
    assert.deepEqual(shop.faults, []);
  } finally {
    await shop.close();
  }
}

const watchFirst = async (shop) => shop.watch((await shop.shelf())[0]);

/** Changes a setting, and waits until the recommender with it is in use. */
async function change(shop, act) {
  const since = await shop.now();
  await act();
  const ready = await shop.event('ready', { since });
  assert.ok(ready, 'the setting was not applied');
  await shop.page.locator('[data-testid="toggle-learning"]:enabled').waitFor();
  return ready.payload;
}

/** Moves a slider to a value. */
const slide = (shop, part, value) => change(shop, () => shop.part(part).fill(String(value)));

/** Ids of the films in one of the three rankings. */
const ranking = (shop, list) =>
  shop
    .part(list)
    .locator('li')
    .evaluateAll((rows) => rows.map((row) => row.dataset.item));

const pressed = (locator) => locator.getAttribute('aria-pressed');

test('the device changes to WebGPU and back, and the history stays', async () => {
  await inShop(async (shop) => {
    const { update } = await watchFirst(shop);
    await shop.internals(true);
    for (const [device, name, other] of [
      ['webgpu', 'WebGPU', 'cpu'],
      ['cpu', 'CPU', 'webgpu'],
    ]) {
      const ready = await change(shop, () => shop.part(`device-${device}`).click());
      assert.equal(ready.device, device);
      assert.equal(await shop.part('status-device').textContent(), name);
      assert.equal(await pressed(shop.part(`device-${device}`)), 'true');
      assert.equal(await pressed(shop.part(`device-${other}`)), 'false');
      const watched = shop.part('history').locator('[data-item]');
      assert.equal(await watched.count(), 1);
      assert.equal(await watched.getAttribute('data-item'), update.history[0]);
    }
  });
});

test('the chosen language model makes the lists of both sides, and the page names it', async () => {
  await inShop(async (shop) => {
    await shop.internals(true);
    const select = shop.part('model');
    const [first, second] = await select.locator('option').allTextContents();
    assert.ok(second, 'the demo has two language models');
    assert.match(
      await shop.part('models').textContent(),
      new RegExp(`cloud: ${escaped(first)}\\.`),
    );
    const since = await shop.now();
    await select.selectOption(second);
    await shop.event('update', { like: { cause: 'model' }, since });
    assert.match(
      await shop.part('models').textContent(),
      new RegExp(`cloud: ${escaped(second)}\\.`),
    );
    await shop.internals(false);
    await watchFirst(shop);
    await shop.page.getByText(/^Answered after/).waitFor({ timeout: 60_000 });
    const asked = (await shop.responses()).at(-1);
    assert.equal(asked.request.model, second);
  });
});

test('with a call budget of zero there is one more call at most, and the strip says why', async () => {
  await inShop(async (shop) => {
    await shop.internals(true);
    await slide(shop, 'budget', 0);
    assert.equal(await shop.part('budget').inputValue(), '0');
    assert.equal(await shop.page.locator('output[for="budget"]').textContent(), '0');
    await shop.internals(false);
    const before = Number(await shop.part('status-calls').textContent());
    const decision = shop.part('strip-decision');
    // A list is wanted after this many clicks at the latest.
    for (let click = 0; click < MOST_CLICKS; click += 1) {
      await watchFirst(shop);
      if (/^cloud not called: budget spent/.test(await decision.textContent())) break;
    }
    assert.match(await decision.textContent(), /^cloud not called: budget spent/);
    const calls = Number(await shop.part('status-calls').textContent());
    assert.ok(calls <= before + 1, `${before} calls, then ${calls}`);
  });
});

test('the weight of the language model moves the fused order to one model or the other', async () => {
  await inShop(async (shop) => {
    await watchFirst(shop);
    await shop.internals(true);
    await shop.part('orders-all').click();
    await slide(shop, 'alpha', 0);
    assert.equal(await shop.page.locator('output[for="alpha"]').textContent(), '0');
    assert.deepEqual(await ranking(shop, 'fused-list'), await ranking(shop, 'srm-list'));
    await slide(shop, 'alpha', 1);
    assert.equal(await shop.page.locator('output[for="alpha"]').textContent(), '1');
    const cloud = await ranking(shop, 'llm-list');
    const listed = (await ranking(shop, 'fused-list')).filter((item) => cloud.includes(item));
    assert.ok(cloud.length > 1);
    assert.deepEqual(listed, cloud);
  });
});

test('without learning, clicks are not learnt from', async () => {
  await inShop(async (shop) => {
    await watchFirst(shop);
    const { learn } = await watchFirst(shop);
    assert.ok(learn);
    assert.match(await shop.part('strip-learnt').textContent(), /learnt/);
    await shop.internals(true);
    const toggle = shop.part('toggle-learning');
    await change(shop, () => toggle.click());
    assert.equal(await toggle.getAttribute('aria-checked'), 'false');
    const tile = shop.page.locator('.tile', { has: shop.part('learn-loss') });
    await tile.getByText('Switched off: clicks do not change the small model.').waitFor();
    const loss = await shop.part('learn-loss').textContent();
    await shop.internals(false);
    const clicked = await shop.watch((await shop.shelf())[0], { learnMs: 2000 });
    assert.equal(clicked.learn, null);
    assert.equal(await shop.part('strip-learnt').textContent(), '');
    assert.equal(await shop.part('learn-loss').textContent(), loss);
    await shop.internals(true);
    await change(shop, () => toggle.click());
    await shop.internals(false);
    await watchFirst(shop);
    assert.equal(await shop.part('strip-learnt').textContent(), 'learnt');
    assert.notEqual(await shop.part('learn-loss').textContent(), loss);
  });
});

test('without search every recommended film is on the list of the cloud', async () => {
  await inShop(async (shop) => {
    await watchFirst(shop);
    await shop.internals(true);
    await shop.part('orders-all').click();
    const found = shop.part('fused-list').getByTitle('found by the search on this device');
    await found.first().waitFor();
    const toggle = shop.part('toggle-search');
    assert.equal(await toggle.getAttribute('aria-checked'), 'true');
    await change(shop, () => toggle.click());
    assert.equal(await toggle.getAttribute('aria-checked'), 'false');
    const [fused, cloud] = [await ranking(shop, 'fused-list'), await ranking(shop, 'llm-list')];
    assert.ok(fused.length > 0);
    assert.equal(await found.count(), 0);
    assert.deepEqual([...fused].sort(), [...cloud].sort());
    await change(shop, () => toggle.click());
    await found.first().waitFor();
  });
});

test('a film under the pointer is marked in all three rankings', async () => {
  await inShop(async (shop) => {
    await watchFirst(shop);
    await shop.internals(true);
    await shop.part('orders-all').click();
    const cloud = await ranking(shop, 'llm-list');
    const row = shop.part('fused-list').locator(`[data-item="${cloud[0]}"]`);
    await row.hover();
    const marked = await shop.page
      .locator('.orders li.marked')
      .evaluateAll((rows) => rows.map(({ dataset }) => dataset.item));
    assert.deepEqual(marked, [cloud[0], cloud[0], cloud[0]]);
    await shop.part('orders-all').click();
    assert.equal((await ranking(shop, 'fused-list')).length, 10);
  });
});

test('a replay of all visitors goes on to the next one, and stops with what was counted', async () => {
  await inShop(async (shop) => {
    await shop.internals(true);
    await shop.part('replay-all').click();
    const line = shop.part('replay-line');
    await line.getByText(/^Visitor 2 of/).waitFor({ timeout: 120_000 });
    await shop.part('replay-stop').click();
    await shop.part('replay-next').getByText('Replay the next visitor').waitFor();
    assert.equal(await shop.part('replay-stop').isVisible(), false);
    const counted = await shop.part('replay-counted').textContent();
    const [, clicks] = /over (\d+) clicks of/.exec(counted) ?? [];
    assert.ok(Number(clicks) >= 10, counted);
    assert.equal(await shop.part('replay-calls-cloud').textContent(), clicks);
    await shop.page.waitForTimeout(1500);
    assert.equal(await shop.part('replay-counted').textContent(), counted);
  });
});

test('the drawer opens and closes with the keyboard, and its controls can be reached', async () => {
  await inShop(async (shop) => {
    const { keyboard } = shop.page;
    const handle = shop.part('internals');
    const drawer = shop.page.locator('#internals');
    await handle.focus();
    await keyboard.press('Enter');
    assert.equal(await handle.getAttribute('aria-expanded'), 'true');
    assert.ok(await drawer.isVisible());
    const reached = [];
    for (let step = 0; step < 20 && reached.at(-1) !== 'replay-all'; step += 1) {
      await keyboard.press('Tab');
      reached.push(await shop.page.evaluate(() => document.activeElement?.dataset.testid));
    }
    assert.deepEqual(
      reached.filter((part) => part !== undefined),
      [
        ...['orders-all', 'device-cpu', 'device-webgpu', 'model', 'budget', 'alpha'],
        ...['toggle-learning', 'toggle-search', 'decision-log', 'replay-next', 'replay-all'],
      ],
    );
    await keyboard.press('Escape');
    assert.equal(await drawer.isVisible(), false);
    assert.equal(await handle.getAttribute('aria-expanded'), 'false');
    assert.ok(await handle.evaluate((button) => button === document.activeElement));
    await keyboard.press('Space');
    assert.ok(await drawer.isVisible());
  });
});

test('sliders and switches of the drawer keep the focus when the keyboard changes them', async () => {
  await inShop(async (shop) => {
    const { keyboard } = shop.page;
    await shop.internals(true);
    const hasFocus = (part) => part.evaluate((element) => element === document.activeElement);
    const budget = shop.part('budget');
    const start = Number(await budget.inputValue());
    const [key, step] = start > 15 ? ['ArrowLeft', -1] : ['ArrowRight', 1];
    await budget.focus();
    await change(shop, async () => {
      for (let press = 0; press < 3; press += 1) await keyboard.press(key);
    });
    assert.equal(Number(await budget.inputValue()), start + 3 * step);
    assert.ok(await hasFocus(budget));
    const learning = shop.part('toggle-learning');
    await learning.focus();
    await change(shop, () => keyboard.press('Space'));
    assert.equal(await learning.getAttribute('aria-checked'), 'false');
    assert.ok(await hasFocus(learning));
  });
});

/** The buttons of the genres, and the films below them. */
function genresOf(shop) {
  const group = shop.page.getByRole('group', { name: 'Browse by genre' });
  return {
    chip: (name) => group.getByRole('button', { name, exact: true }),
    names: () => group.getByRole('button').allTextContents(),
    films: () =>
      shop.page
        .getByTestId('browse-card')
        .evaluateAll((cards) => cards.map(({ dataset }) => dataset.item)),
    note: (text) => shop.page.locator('.finder').getByText(text, { exact: true }),
  };
}

/** Genres of every film, from the items file of the release. */
async function catalogue() {
  const answer = await fetch(`${serverUrl()}/v1/manifest`);
  const { items } = await answer.json();
  const file = `${serverUrl()}/artifacts/${answer.headers.get('x-artifacts')}/${items.path}`;
  const records = await (await fetch(file)).json();
  return new Map(records.map(({ item, genres = [] }) => [item, genres]));
}

test('a genre shows its films only, and all films when it is pressed again', async () => {
  const genres = await catalogue();
  await inShop(async (shop) => {
    const { chip, names, films, note } = genresOf(shop);
    const all = await films();
    const [first, second] = await names();
    for (const [name, other] of [
      [first, second],
      [second, first],
    ]) {
      await chip(name).click();
      assert.equal(await pressed(chip(name)), 'true');
      assert.equal(await pressed(chip(other)), 'false');
      await note(`${name}, most popular first`).waitFor();
      const shown = await films();
      assert.equal(shown.length, 24);
      for (const item of shown) assert.ok(genres.get(item).includes(name), `${item}: ${name}`);
    }
    await chip(second).click();
    assert.equal(await pressed(chip(second)), 'false');
    await note('All genres, most popular first').waitFor();
    assert.deepEqual(await films(), all);
  });
});

test('genres work with the keyboard, and a search replaces the chosen one', async () => {
  const genres = await catalogue();
  await inShop(async (shop) => {
    const { keyboard } = shop.page;
    const { chip, names, films, note } = genresOf(shop);
    const [first, second] = await names();
    await shop.part('search').focus();
    await keyboard.press('Tab');
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    assert.equal(await pressed(chip(second)), 'true');
    assert.ok(await chip(second).evaluate((button) => button === document.activeElement));
    for (const item of await films()) assert.ok(genres.get(item).includes(second));
    await keyboard.press('Shift+Tab');
    await keyboard.press('Space');
    assert.equal(await pressed(chip(first)), 'true');
    assert.equal(await pressed(chip(second)), 'false');
    await shop.part('search').fill('star');
    await note('Found by title').waitFor();
    assert.equal(await pressed(chip(first)), 'false');
    await chip(second).click();
    assert.equal(await shop.part('search').inputValue(), '');
    await note(`${second}, most popular first`).waitFor();
  });
});

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
