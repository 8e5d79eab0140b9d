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
  const jobs = [
    [
      'rerank',
      (runtime, { visitor, session, candidates }) => runtime.click(visitor, session, candidates),
    ],
    ['whole', (runtime, { session, candidates }) => runtime.rerank(session.history, candidates)],
  ];
  const calls = [];
  for (const count of counts) {
    for (const [job, call] of jobs) {
      for (const { name, runtime } of ranking) {
        const prepare = runtime.activate;
        await prepare?.();
        const visits = [];
        for (const session of work) {
          const visitor = await runtime.visit?.(session.before);
          visits.push({ visitor, session, candidates: session.candidates(count) });
        }
        const turn = inTurn(visits, (visit) => call(runtime, visit));
        calls.push({ name: `${job}${count} ${name}`, prepare, call: turn });
      }
    }
  }
  const rerank = await takeTurns(calls, { rounds, warmUp });

  const gpuWork = {};
  if (gpu !== null) {
    for (const { name, runtime } of ranking) {
      const [session] = work;
      const visitor = await runtime.visit?.(session.before);
      const candidates = session.candidates(50);
      gpuWork[name] = await gpu.of(() => runtime.click(visitor, session, candidates));
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
  const few = work.slice(0, 4);
  const notes = [];
  const learners = [];
  for (const entrant of entrants.filter(({ learns }) => learns)) {
    say(`trying a learning step with ${entrant.name}`);
    await entrant.runtime.activate?.();
    const failure = await firstStep(entrant.runtime, few[0]);
    if (failure === null) learners.push(entrant);
    else notes.push(`${entrant.name}: ${failure}`);
  }
  // The steps so far were one each: everyone is at the same place.
  const steps = await sameSteps(learners, few, LISTED);
  say('learning');
  const calls = [];
  for (const { name, runtime } of learners) {
    const prepare = runtime.activate;
    await prepare?.();
    const visits = [];
    for (const session of few) {
      visits.push({
        visitor: await runtime.visit(session.history),
        lesson: session.lesson(LISTED),
      });
    }
    calls.push({
      name: `learn ${name}`,
      prepare,
      call: inTurn(visits, ({ visitor, lesson }) => runtime.learn(visitor, lesson)),
    });
  }
  const samples = await takeTurns(calls, { rounds: learnRounds, warmUp });
  return { samples, agreement: { steps }, notes };
}

/** @returns {Promise<string | null>} why it failed */
async function firstStep(runtime, session) {
  try {
    await runtime.learn(await runtime.visit(session.history), session.lesson(LISTED));
    return null;
  } catch (error) {
    return String(error?.message ?? error)
      .split('\n')[0]
      .slice(0, 160);
  }
}

/** A call that takes one input after another. */
function inTurn(inputs, call) {
  return (round) => call(inputs[round % inputs.length]);
}

function say(step) {
  console.info(step);
}
