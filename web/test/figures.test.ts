// Figures as people read them, and the drawing of losses.
import { describe, expect, it } from 'vitest';
import { bytes, lossPoints, milliseconds, movement } from '../src/figures.ts';

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1 kB'],
  [412_345, '412 kB'],
  [3_250_000, '3.25 MB'],
])('%d bytes are %s', (count, text) => expect(bytes(count)).toBe(text));

it.each([
  [null, '–'],
  [0.237, '0.24 ms'],
  [45.67, '45.7 ms'],
  [796.2, '796 ms'],
  [1843, '1.8 s'],
])('%s milliseconds are %s', (value, text) => expect(milliseconds(value)).toBe(text));

it('says which way an item moved', () => {
  expect(movement(9, 2)).toEqual({ mark: '▲ 7', words: 'up 7' });
  expect(movement(0, 3)).toEqual({ mark: '▼ 3', words: 'down 3' });
  expect(movement(4, 4).words).toBe('same place');
});

describe('lossPoints', () => {
  it('puts the largest loss at the top and zero at the bottom', () => {
    const points = lossPoints(
      [
        { lossBefore: 4, lossAfter: 2 },
        { lossBefore: 1, lossAfter: 0 },
      ],
      110,
      80,
    );
    expect(points).toEqual([
      { x: 0, before: 0, after: 40 },
      { x: 10, before: 60, after: 80 },
    ]);
  });

  it('takes the whole width once there are many', () => {
    const steps = Array.from({ length: 21 }, () => ({ lossBefore: 2, lossAfter: 1 }));
    expect(lossPoints(steps, 100, 80).map(({ x }) => x)).toEqual(steps.map((_, at) => at * 5));
  });

  it('has a place for a single step, and for losses of zero', () => {
    expect(lossPoints([{ lossBefore: 0, lossAfter: 0 }], 100, 80)).toEqual([
      { x: 0, before: 80, after: 80 },
    ]);
    expect(lossPoints([], 100, 80)).toEqual([]);
  });
});
