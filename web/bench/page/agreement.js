/** Largest difference of scores and losses that is still the same computation in `f32`. */
const TOLERANCE = 1e-3;

/**
 * Whether everyone computes the same scores; a benchmark of different computations would
 * mean nothing.
 *
 * @param {{ name: string, runtime: import('./contestants.js').Runtime }[]} entrants
 * @param {ReturnType<import('./workload.js').sessions>} sessions
 * @param {number[]} counts numbers of candidates
 * @returns {Promise<Record<string, number>>} largest difference from the first entrant
 */
export async function sameScores(entrants, sessions, counts) {
  const [reference, ...others] = entrants;
  const differences = {};
  for (const session of sessions) {
    for (const count of counts) {
      const scores = async ({ runtime }) => {
        await runtime.activate?.();
        return runtime.rerank(session.history, session.candidates(count));
      };
      const afterClick = async ({ runtime }) => {
        await runtime.activate?.();
        const visitor = await runtime.visit?.(session.before);
        return runtime.click(visitor, session, session.candidates(count));
      };
      const expected = await scores(reference);
      check(expected.length === count, `${reference.name}: ${expected.length} scores of ${count}`);
      check(spread(expected) > 0.1, `${reference.name}: the scores hardly differ from each other`);
      const note = (name, found) => {
        const difference = largestDifference(expected, found);
        check(
          difference < TOLERANCE,
          `scores of ${reference.name} and ${name} differ by ${difference}, at most ${TOLERANCE} is allowed`,
        );
        differences[name] = Math.max(differences[name] ?? 0, difference);
      };
      note(`${reference.name} after a click`, await afterClick(reference));
      for (const other of others) note(other.name, await scores(other));
    }
  }
  return differences;
}

/**
 * Whether everyone's learning steps have the same losses before and after, over several
 * steps, so that a wrong gradient shows.
 *
 * @param {{ name: string, runtime: import('./contestants.js').Runtime }[]} entrants
 * @param {ReturnType<import('./workload.js').sessions>} sessions
 * @param {number} count candidates that each click is compared with, itself among them
 */
export async function sameSteps(entrants, sessions, count) {
  const differences = {};
  for (const session of sessions) {
    let expected = null;
    for (const { name, runtime } of entrants) {
      await runtime.activate?.();
      const visitor = await runtime.visit(session.history);
      const { before, after } = await runtime.learn(visitor, session.lesson(count));
      check(after < before, `${name}: the loss went from ${before} to ${after} in a learning step`);
      expected ??= { name, losses: [before, after] };
      const difference = largestDifference(expected.losses, [before, after]);
      check(
        difference < TOLERANCE,
        `losses of ${expected.name} (${expected.losses.join(', ')}) and ${name} (${before}, ${after}) differ`,
      );
      differences[name] = Math.max(differences[name] ?? 0, difference);
    }
  }
  return differences;
}

function largestDifference(expected, found) {
  if (expected.length !== found.length) return Number.POSITIVE_INFINITY;
  // A difference that is no number must not pass.
  return expected.reduce((largest, value, at) => {
    const difference = Math.abs(value - found[at]);
    return difference <= largest ? largest : Number.isNaN(difference) ? Infinity : difference;
  }, 0);
}

function spread(values) {
  return Math.max(...values) - Math.min(...values);
}

function check(holds, message) {
  if (!holds) throw new Error(message);
}
