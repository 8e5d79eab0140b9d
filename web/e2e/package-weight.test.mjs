/** What the package costs the page that has it: turns of its main thread, and memory. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tasksOfPackage } from './main-thread.mjs';
import { memoryAfterClicks } from './memory.mjs';
import { Stand } from './package-stand.mjs';

const stand = new Stand();

/** At most so much of the processor in one turn of the main thread, in milliseconds. */
const TURN_MS = 8;

test('no turn of the main thread is taken for long', async () => {
  const before = await stand.shopping({ consent: true });
  await before.atRest(1);
  await before.close();
  const tab = await stand.visitor.tab();
  const tasks = await tasksOfPackage(stand.browser, async () => {
    // With a session to take up, and another tab that writes to it as well.
    await tab.open({ server: stand.cloud.url, consent: true, events: true });
    await tab.listed();
    const other = await stand.visitor.tab();
    await other.open({ server: stand.cloud.url, consent: true });
    for (let click = 0; click < 20; click += 1) await tab.click(`i${100 + click}`);
    await other.click('i150');
    await tab.until('window.rec.state().history.length === 23');
    const { items } = await tab.call('recommend', { k: 10, exclude: ['i1'] });
    await tab.call('explain', items[0].item);
    await tab.call('similar', 'i60');
    await tab.call('compare', stand.cloud.items);
    await tab.call('undo');
    await tab.page.evaluate(async () => {
      await window.rec.importPersonalData(await window.rec.exportPersonalData());
    });
    await tab.atRest(15);
  });
  const scripts = new Set(tasks.flatMap((task) => task.scripts));
  for (const script of ['channel', 'indexed-db', 'paint']) {
    assert.ok(scripts.has(`page/${script}.js`), `${script} was not seen among ${[...scripts]}`);
  }
  assert.deepEqual(
    tasks.filter(({ ms }) => !(ms <= TURN_MS)),
    [],
  );
  // The browser's own count of what is felt, from 50 ms on, goes by the clock on the wall: on
  // a busy machine it tells of tasks that did next to nothing, so it is only told.
  const { length } = await tab.page.evaluate(() => window.longTasks);
  const most = Math.max(...tasks.map(({ ms }) => ms));
  console.error(
    `  ${tasks.length} turns with scripts of the package, at most ${most.toFixed(1)} ms of the ` +
      `processor; ${length} long tasks of the page`,
  );
});

test('memory does not go on growing with clicks', async () => {
  const tab = await stand.visitor.tab();
  const options = { server: stand.cloud.url, consent: true };
  const [after100, after1000] = await memoryAfterClicks(
    tab,
    options,
    stand.cloud.items,
    [100, 1_000],
  );
  const growth = after1000.total / after100.total - 1;
  const both = JSON.stringify({ after100, after1000 });
  // In a catalogue of 200 items all that can be learnt of is met by the first mark: what
  // grows after it has no end.
  assert.ok(after100.wasm > 0 && after100.worker > 0 && after100.page > 0, both);
  // The memory of WebAssembly tells of its busiest moment, which differs by some pages.
  assert.ok(growth <= 0.15, `memory grew by ${(100 * growth).toFixed(1)} %: ${both}`);
  console.error(`  ${both}, ${(100 * growth).toFixed(1)} % more`);
});
