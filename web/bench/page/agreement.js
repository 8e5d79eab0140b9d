/** Maximum difference of scores and losses between runtimes, due to `f32` rounding. */
const TOLERANCE = 1e-3;

/**
 * Checks that all runtimes compute the same scores.
 *
 * @param {{ name: string, runtime: import('./runtimes.js').Runtime }[]} entries
 * @param {ReturnType<import('./workload.js').sessions>} sessions
 * @param {number[]} counts numbers of candidates
 * @returns {Promise<Record<string, number>>} largest difference from the first runtime
 */
export async function sameScores(entries, sessions, counts) {
  const [reference, ...others] = entries;
  const differences = {};
  for (const session of sessions) {
    for (const count of counts) {
      const scores = async ({ runtime }) => {
        await runtime.activate?.();
        return runtime.rerank(session.history, session.candidates(count));
      };
      const afterClick = async ({ runtime }) => {
        await runtime.activate?.();
        const encoded = await runtime.encode?.(session.before);
        return runtime.click(encoded, session, session.candidates(count));
      };
      const expected = await scores(reference);
      check(expected.length === count, `${reference.name}: ${expected.length} scores of ${count}`);
      check(
        spread(expected) > 0.1,
        `${reference.name}: the scores are almost constant; check the weights`,
      );
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
 * Checks that all runtimes have the same losses before and after several learning steps; a
 * wrong gradient would change them.
 *
 * @param {{ name: string, runtime: import('./runtimes.js').Runtime }[]} entries
 * @param {ReturnType<import('./workload.js').sessions>} sessions
 * @param {number} count number of candidates per training example, including the target
 */
export async function sameSteps(entries, sessions, count) {
  const differences = {};
  for (const session of sessions) {
    let expected = null;
    for (const { name, runtime } of entries) {
      await runtime.activate?.();
      const encoded = await runtime.encode(session.history);
      const { before, after } = await runtime.learn(encoded, session.example(count));
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
  // NaN must not pass.
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
