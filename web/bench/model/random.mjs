/**
 * Seeded random numbers (mulberry32 by Tommy Ettinger, public domain): the same weights and
 * sessions on every machine and in every run.
 *
 * @param {number} seed
 */
export function random(seed) {
  let state = seed >>> 0;
  /** Uniform in [0, 1). */
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
  /** Standard normal (Box and Muller 1958). */
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  /** `count` distinct integers in [0, end), unsorted. */
  const distinct = (count, end) => {
    const drawn = new Set();
    while (drawn.size < count) drawn.add(Math.floor(uniform() * end));
    return [...drawn];
  };
  return { uniform, normal, distinct };
}
