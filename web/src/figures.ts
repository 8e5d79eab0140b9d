/** Formatting of numbers for display. */

const kilo = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** Bytes in decimal units: `412 kB`. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${kilo.format(count / 1000)} kB`;
  return `${kilo.format(count / 1_000_000)} MB`;
}

/** The clock of a browser has steps of this size, in milliseconds. */
const CLOCK_MS = 0.1;

/** Milliseconds with about three significant digits: `0.24 ms`, `4.60 ms`, `1.2 s`. */
export function milliseconds(value: number | null): string {
  if (value === null) return '–';
  if (value < CLOCK_MS / 2) return `< ${CLOCK_MS} ms`;
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  if (value >= 100) return `${Math.round(value)} ms`;
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

/** Change of an item’s rank between two orders: `▲ 7`, `▼ 2`, `=`. */
export function movement(from: number, to: number): { mark: string; words: string } {
  const by = from - to;
  if (by > 0) return { mark: `▲ ${by}`, words: `up ${by}` };
  if (by < 0) return { mark: `▼ ${-by}`, words: `down ${-by}` };
  return { mark: '=', words: 'unchanged' };
}

const MIN_STEPS = 12;

/** Losses of one learning step in chart coordinates. */
export interface LossPoint {
  x: number;
  before: number;
  after: number;
}

/**
 * Chart coordinates of learning steps, oldest first. The largest loss is at the top (y = 0),
 * zero loss at the bottom (y = `height`). The x axis has room for at least
 * {@link MIN_STEPS} steps, so that the first few are not spread over the full width.
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
    x: (position * width) / (Math.max(steps.length, MIN_STEPS) - 1),
    before: scale(lossBefore),
    after: scale(lossAfter),
  }));
}
