/**
 * Quantile with linear interpolation (Hyndman and Fan 1996, type 7).
 *
 * @param {number[]} samples not empty
 * @param {number} share in [0, 1]
 */
export function quantile(samples, share) {
  if (samples.length === 0) throw new Error('quantile: expected at least one sample, found none');
  const sorted = samples.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

export const median = (samples) => quantile(samples, 0.5);
