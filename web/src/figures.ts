/** Figures as people read them. */

const kilo = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** Bytes in decimal units: `412 kB`. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${kilo.format(count / 1000)} kB`;
  return `${kilo.format(count / 1_000_000)} MB`;
}

/** Milliseconds with as many digits as can be meant: `0.24 ms`, `4.6 ms`, `1.2 s`. */
export function milliseconds(value: number | null): string {
  if (value === null) return '–';
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

/** How an item moved against another order: `▲ 7`, `▼ 2`, `=`. */
export function movement(from: number, to: number): { mark: string; words: string } {
  const by = from - to;
  if (by > 0) return { mark: `▲ ${by}`, words: `up ${by}` };
  if (by < 0) return { mark: `▼ ${-by}`, words: `down ${-by}` };
  return { mark: '=', words: 'same place' };
}

const FEWEST_PLACES = 12;

/** Losses of learning steps as points of a drawing, oldest first. */
export interface LossPoint {
  x: number;
  before: number;
  after: number;
}

/**
 * Places steps over a width and their losses over a height; the largest loss is at the top
 * (0), a loss of zero at the bottom. So that the first steps do not stand far apart, there
 * are places for {@link FEWEST_PLACES} at least, taken from the left.
 */
export function lossPoints(
  steps: readonly { lossBefore: number; lossAfter: number }[],
  width: number,
  height: number,
): LossPoint[] {
  const largest = Math.max(
    ...steps.map(({ lossBefore, lossAfter }) => Math.max(lossBefore, lossAfter)),
  );
  const scale = (loss: number): number => (largest > 0 ? height * (1 - loss / largest) : height);
  return steps.map(({ lossBefore, lossAfter }, position) => ({
    x: (position * width) / (Math.max(steps.length, FEWEST_PLACES) - 1),
    before: scale(lossBefore),
    after: scale(lossAfter),
  }));
}
