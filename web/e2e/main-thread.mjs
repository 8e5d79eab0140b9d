/** Trace event of one task of the event loop. */
const TASK = 'ThreadControllerImpl::RunTask';

/** Trace event of work done for developer tools; subtracted from the task it falls into. */
const TOOLS = 'V8.InvokeApiInterruptCallbacks';

const CATEGORIES = ['toplevel', 'devtools.timeline', 'v8.execute'];

/**
 * Main-thread tasks that ran scripts of the package during `play`, with the CPU time of each
 * whole task. CPU time excludes the work of other processes of the machine.
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

/** Names of the package scripts that were called. */
function scriptsOf(spans) {
  const called = spans.flatMap((span) => /\/dist\/(.*)$/.exec(scriptOf(span) ?? '')?.[1] ?? []);
  return [...new Set(called)];
}

const scriptOf = ({ args }) => args?.data?.url ?? args?.fileName;
