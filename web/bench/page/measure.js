import { sameScores, sameSteps } from './agreement.js';
import { countGpuWork } from './dispatches.js';
import { takeTurns } from './rounds.js';
import { runtimes } from './runtimes.js';
import { measureSearch } from './search.js';
import { sessions } from './workload.js';

/** Candidates per training example, including the target. */
const EXAMPLE_CANDIDATES = 50;

/**
 * Runs all measurements of one page; called by `run.mjs`.
 *
 * @param {{ device: 'cpu' | 'webgpu', only: string[] | null, rounds: number, warmUp: number,
 *   learnRounds: number, search: { sizes: number[], k: number } }} plan `search`: numbers of
 *   rows, and of results
 */
globalThis.measure = async ({ device, only, rounds, warmUp, learnRounds, search }) => {
  if (!crossOriginIsolated) throw new Error('the page is not cross-origin isolated');
  const gpu = device === 'webgpu' ? countGpuWork() : null;
  const entries = [];
  for (const entry of runtimes[device]) {
    if (only !== null && !only.includes(entry.name)) continue;
    say(`opening ${entry.name}`);
    entries.push({ ...entry, runtime: await entry.open() });
  }
  const work = sessions(16);
  const ranking = entries.filter(({ ranks }) => ranks);
  say('comparing scores');
  const few = work.slice(0, device === 'cpu' ? 4 : 1);
  const counts = device === 'cpu' ? [20, 50, 100] : [50];
  const scores = await sameScores(ranking, few, counts);

  say('re-ranking');
  const jobs = [
    [
      'rerank',
      (runtime, { encoded, session, candidates }) => runtime.click(encoded, session, candidates),
    ],
    ['whole', (runtime, { session, candidates }) => runtime.rerank(session.history, candidates)],
  ];
  const calls = [];
  for (const count of counts) {
    for (const [job, call] of jobs) {
      for (const { name, runtime } of ranking) {
        const prepare = runtime.activate;
        await prepare?.();
        const inputs = [];
        for (const session of work) {
          const encoded = await runtime.encode?.(session.before);
          inputs.push({ encoded, session, candidates: session.candidates(count) });
        }
        const turn = roundRobin(inputs, (input) => call(runtime, input));
        calls.push({ name: `${job}${count} ${name}`, prepare, call: turn });
      }
    }
  }
  const rerank = await takeTurns(calls, { rounds, warmUp });

  const gpuWork = {};
  if (gpu !== null) {
    for (const { name, runtime } of ranking) {
      const [session] = work;
      const encoded = await runtime.encode?.(session.before);
      const candidates = session.candidates(50);
      gpuWork[name] = await gpu.of(() => runtime.click(encoded, session, candidates));
    }
  }
  const learning = device === 'cpu' ? await learn(entries, work, { learnRounds, warmUp }) : null;
  const searched = await measureSearch({ ...search, device, only, rounds, warmUp });
  return {
    samples: { ...rerank, ...learning?.samples, ...searched.samples },
    agreement: { scores, ...learning?.agreement, search: searched.agreement },
    gpuWork,
    notes: learning?.notes ?? [],
  };
};

/** Measures the learning step on all runtimes that can compute its gradients. */
async function learn(entries, work, { learnRounds, warmUp }) {
  const few = work.slice(0, 4);
  const notes = [];
  const learners = [];
  for (const entry of entries.filter(({ learns }) => learns)) {
    say(`trying a learning step with ${entry.name}`);
    await entry.runtime.activate?.();
    const failure = await firstStep(entry.runtime, few[0]);
    if (failure === null) learners.push(entry);
    else notes.push(`${entry.name}: ${failure}`);
  }
  // All runtimes have made exactly one step and have the same parameters.
  const steps = await sameSteps(learners, few, EXAMPLE_CANDIDATES);
  say('learning');
  const calls = [];
  for (const { name, runtime } of learners) {
    const prepare = runtime.activate;
    await prepare?.();
    const inputs = [];
    for (const session of few) {
      inputs.push({
        encoded: await runtime.encode(session.history),
        example: session.example(EXAMPLE_CANDIDATES),
      });
    }
    calls.push({
      name: `learn ${name}`,
      prepare,
      call: roundRobin(inputs, ({ encoded, example }) => runtime.learn(encoded, example)),
    });
  }
  const samples = await takeTurns(calls, { rounds: learnRounds, warmUp });
  return { samples, agreement: { steps }, notes };
}

/** @returns {Promise<string | null>} the error message, `null` on success */
async function firstStep(runtime, session) {
  try {
    await runtime.learn(await runtime.encode(session.history), session.example(EXAMPLE_CANDIDATES));
    return null;
  } catch (error) {
    return String(error?.message ?? error)
      .split('\n')[0]
      .slice(0, 160);
  }
}

/** Calls with the inputs in round-robin order. */
function roundRobin(inputs, call) {
  return (round) => call(inputs[round % inputs.length]);
}

function say(step) {
  console.info(step);
}
