/** Calls slower than this take part in fewer rounds. */
const SLOW_MS = 20;

/** Minimum number of samples per call. */
const MIN_SAMPLES = 12;

/**
 * Measures in alternating order: every round executes every call once, and the order rotates, so
 * that noise of the machine affects all calls equally.
 *
 * @param {{ name: string, call: (round: number) => Promise<unknown>,
 *   prepare?: () => Promise<void> }[]} calls
 * @param {{ rounds: number, warmUp: number }} plan
 * @returns {Promise<Record<string, number[]>>} milliseconds of each call, by name
 */
export async function takeTurns(calls, { rounds, warmUp }) {
  const turns = [];
  for (const call of calls) {
    await call.prepare?.();
    turns.push({ ...call, every: await interval(call, { rounds, warmUp }), samples: [] });
  }
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < turns.length; at += 1) {
      const turn = turns[(at + round) % turns.length];
      if (round % turn.every !== 0) continue;
      await turn.prepare?.();
      turn.samples.push(await timed(turn.call, round));
    }
    await nextTask();
  }
  return Object.fromEntries(turns.map(({ name, samples }) => [name, samples]));
}

/** Warms up until the compilers have optimised, and returns the interval between samples in rounds. */
async function interval({ call }, { rounds, warmUp }) {
  const times = [];
  const start = performance.now();
  for (let at = 0; at < warmUp && (at < 3 || performance.now() - start < 3000); at += 1) {
    times.push(await timed(call, at));
    await nextTask();
  }
  const fastest = Math.min(...times);
  return fastest < SLOW_MS ? 1 : Math.max(1, Math.floor(rounds / MIN_SAMPLES));
}

async function timed(call, round) {
  const start = performance.now();
  await call(round);
  return performance.now() - start;
}

/** Yields to the event loop, so that pending work of the browser runs outside measurements. */
function nextTask() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
