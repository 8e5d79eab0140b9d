/** Events of a trace that mark one turn of a thread's loop. */
const TASK = 'ThreadControllerImpl::RunTask';

/** What tracing itself and other tools do inside of a page, in whatever turn it falls. */
const TOOLS = 'V8.InvokeApiInterruptCallbacks';

const CATEGORIES = ['toplevel', 'devtools.timeline', 'v8.execute'];

/**
 * Which turns of the main threads of a browser's pages ran scripts of the package while
 * `play` did its part, and how much of the processor each took, all else in the turn
 * included: what other programs of the machine do does not count.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {() => Promise<void>} play
 * @returns {Promise<{ ms: number, scripts: string[] }[]>}
 */
export async function tasksOfPackage(browser, play) {
  await browser.startTracing(undefined, { categories: CATEGORIES });
  await play();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  return traceEvents
    .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    .flatMap(({ pid, tid }) =>
      tasksOfThread(traceEvents.filter((event) => event.pid === pid && event.tid === tid)),
    );
}

function tasksOfThread(events) {
  const spans = events.filter(({ ph }) => ph === 'X');
  return spans
    .filter(({ name }) => name === TASK)
    .map((task) => {
      const inside = spans.filter(({ ts, dur }) => ts >= task.ts && ts + dur <= task.ts + task.dur);
      const tools = inside.filter(({ name }) => name === TOOLS);
      const us = tools.reduce((left, { tdur }) => left - tdur, task.tdur);
      return { ms: us / 1000, scripts: scriptsOf(inside) };
    })
    .filter(({ scripts }) => scripts.length > 0);
}

/** Scripts of the package that were called, by name. */
function scriptsOf(spans) {
  const called = spans.flatMap((span) => /\/dist\/(.*)$/.exec(scriptOf(span) ?? '')?.[1] ?? []);
  return [...new Set(called)];
}

const scriptOf = ({ args }) => args?.data?.url ?? args?.fileName;
