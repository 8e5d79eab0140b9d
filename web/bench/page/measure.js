import { sameScores, sameSteps } from './agreement.js';
import { contestants } from './contestants.js';
import { countGpuWork } from './dispatches.js';
import { takeTurns } from './rounds.js';
import { sessions } from './workload.js';

/** Candidates that a learning step compares the click with, itself among them. */
const LISTED = 50;

/**
 * Everything one page measures, called by `run.mjs`.
 *
 * @param {{ device: 'cpu' | 'webgpu', only: string[] | null, rounds: number, warmUp: number,
 *   learnRounds: number }} plan
 */
globalThis.measure = async ({ device, only, rounds, warmUp, learnRounds }) => {
  if (!crossOriginIsolated) throw new Error('the page is not cross-origin isolated');
  const gpu = device === 'webgpu' ? countGpuWork() : null;
  const entrants = [];
  for (const contestant of contestants[device]) {
    if (only !== null && !only.includes(contestant.name)) continue;
    say(`opening ${contestant.name}`);
    entrants.push({ ...contestant, runtime: await contestant.open() });
  }
  const work = sessions(16);
  const ranking = entrants.filter(({ ranks }) => ranks);
  say('comparing scores');
  const few = work.slice(0, device === 'cpu' ? 4 : 1);
  const counts = device === 'cpu' ? [20, 50, 100] : [50];
  const scores = await sameScores(ranking, few, counts);

  say('re-ranking');
  const rerank = await takeTurns(
    counts.flatMap((count) =>
      ranking.map(({ name, runtime }) => ({
        name: `rerank${count} ${name}`,
        prepare: runtime.activate,
        call: once(
          work,
          (session) => [session.history, session.candidates(count)],
          (rows) => runtime.rerank(...rows),
        ),
      })),
    ),
    { rounds, warmUp },
  );

  const gpuWork = {};
  if (gpu !== null) {
    for (const { name, runtime } of ranking) {
      const [session] = work;
      gpuWork[name] = await gpu.of(() => runtime.rerank(session.history, session.candidates(50)));
    }
  }
  const learning = device === 'cpu' ? await learn(entrants, work, { learnRounds, warmUp }) : null;
  return {
    samples: { ...rerank, ...learning?.samples },
    agreement: { scores, ...learning?.agreement },
    gpuWork,
    notes: learning?.notes ?? [],
  };
};

/** The learning step, by everyone whose runtime has the gradients it needs. */
async function learn(entrants, work, { learnRounds, warmUp }) {
  const clicks = work.slice(0, 4).map((session) => session.click(LISTED));
  const notes = [];
  const learners = [];
  for (const entrant of entrants.filter(({ learns }) => learns)) {
    say(`trying a learning step with ${entrant.name}`);
    await entrant.runtime.activate?.();
    const failure = await firstStep(entrant.runtime, clicks[0]);
    if (failure === null) learners.push(entrant);
    else notes.push(`${entrant.name}: ${failure}`);
  }
  // The steps so far were one each: everyone is at the same place.
  const steps = await sameSteps(learners, clicks);
  say('learning');
  const samples = await takeTurns(
    learners.map(({ name, runtime }) => ({
      name: `learn ${name}`,
      prepare: runtime.activate,
      call: once(
        clicks,
        (click) => click,
        (click) => runtime.learn(click),
      ),
    })),
    { rounds: learnRounds, warmUp },
  );
  return { samples, agreement: { steps }, notes };
}

/** @returns {Promise<string | null>} why it failed */
async function firstStep(runtime, click) {
  try {
    await runtime.learn(click);
    return null;
  } catch (error) {
    return String(error?.message ?? error)
      .split('\n')[0]
      .slice(0, 160);
  }
}

/** A call whose inputs are made before it is timed. */
function once(cases, make, call) {
  const inputs = cases.map(make);
  return (round) => call(inputs[round % inputs.length]);
}

function say(step) {
  console.info(step);
}
