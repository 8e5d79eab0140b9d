/** Cost of the package for the page: main-thread tasks and memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tasksOfPackage } from './main-thread.mjs';
import { memoryAfterClicks } from './memory.mjs';
import { Fixture } from './package-fixture.mjs';
import { Visitor } from './package-page.mjs';

const fixture = new Fixture();

/** Maximum CPU time of one main-thread task, in milliseconds. */
const MAX_TASK_MS = 8;

/**
 * Plays at most this often: other programs of the machine take caches and half a core away, which
 * only adds CPU time. A task that is too long by itself is too long each time.
 */
const ROUNDS = 3;

test('main-thread tasks stay short', async () => {
  const rounds = [];
  do {
    rounds.push(await tasksOfOneVisitor());
  } while (slowest(rounds.at(-1)) > MAX_TASK_MS && rounds.length < ROUNDS);
  const best = rounds.reduce((best, round) => (slowest(round) < slowest(best) ? round : best));
  console.error(
    `  ${best.length} tasks with scripts of the package, at most ${slowest(best).toFixed(1)} ms of ` +
      `CPU time; slowest task of each round: ${rounds.map((tasks) => slowest(tasks).toFixed(1))}`,
  );
  const scripts = new Set(best.flatMap((task) => task.scripts));
  for (const script of ['channel', 'indexed-db', 'paint']) {
    assert.ok(scripts.has(`page/${script}.js`), `${script} was not seen among ${[...scripts]}`);
  }
  assert.deepEqual(
    best.filter(({ ms }) => !(ms <= MAX_TASK_MS)),
    [],
  );
});

const slowest = (tasks) => Math.max(...tasks.map(({ ms }) => ms));

/** Everything that a page calls, by a visitor whose session is stored. */
async function tasksOfOneVisitor() {
  const visitor = await Visitor.arrive(fixture.browser, fixture.site);
  const before = await visitor.tab();
  await before.open({ server: fixture.server.url, consent: true });
  await before.listed();
  for (const item of ['i60', 'i61']) await before.click(item);
  await before.atRest(1);
  await before.close();
  const tab = await visitor.tab();
  const tasks = await tasksOfPackage(fixture.browser, async () => {
    // Restores a stored session while another tab writes to it.
    await tab.open({ server: fixture.server.url, consent: true, events: true });
    await tab.listed();
    const other = await visitor.tab();
    await other.open({ server: fixture.server.url, consent: true });
    for (let click = 0; click < 20; click += 1) await tab.click(`i${100 + click}`);
    await other.click('i150');
    await tab.until('window.rec.state().history.length === 23');
    // An import replaces what is still waiting to be learnt.
    await tab.atRest(16);
    const { items } = await tab.call('recommend', { k: 10, exclude: ['i1'] });
    await tab.call('explain', items[0].item);
    await tab.call('similar', 'i60');
    await tab.call('compare', fixture.server.items);
    await tab.call('undo');
    await tab.page.evaluate(async () => {
      await window.rec.importPersonalData(await window.rec.exportPersonalData());
    });
    await tab.atRest(15);
  });
  await visitor.leave();
  assert.deepEqual(visitor.faults, []);
  return tasks;
}

test('memory stays bounded as clicks accumulate', async () => {
  const tab = await fixture.visitor.tab();
  const options = { server: fixture.server.url, consent: true };
  const [after100, after1000] = await memoryAfterClicks(
    tab,
    options,
    fixture.server.items,
    [100, 1_000],
  );
  const growth = after1000.total / after100.total - 1;
  const both = JSON.stringify({ after100, after1000 });
  // With 200 items, everything that can be learnt has been met at the first mark: growth after
  // it would be unbounded.
  assert.ok(after100.wasm > 0 && after100.worker > 0 && after100.page > 0, both);
  // WebAssembly memory never shrinks; its peak varies by a few pages.
  assert.ok(growth <= 0.15, `memory grew by ${(100 * growth).toFixed(1)} %: ${both}`);
  console.error(`  ${both}, ${(100 * growth).toFixed(1)} % more`);
});
