// Number formatting and chart coordinates.
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
  [0, '< 0.1 ms'],
  [0.1, '0.10 ms'],
  [0.237, '0.24 ms'],
  [45.67, '45.7 ms'],
  [796.2, '796 ms'],
  [1843, '1.8 s'],
])('%s milliseconds are %s', (value, text) => expect(milliseconds(value)).toBe(text));

it('describes the rank change of an item', () => {
  expect(movement(9, 2)).toEqual({ mark: '▲ 7', words: 'up 7' });
  expect(movement(0, 3)).toEqual({ mark: '▼ 3', words: 'down 3' });
  expect(movement(4, 4).words).toBe('unchanged');
});

describe('lossPoints', () => {
  it('maps the largest loss to the top and zero to the bottom', () => {
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

  it('uses the full width for many steps', () => {
    const steps = Array.from({ length: 21 }, () => ({ lossBefore: 2, lossAfter: 1 }));
    expect(lossPoints(steps, 100, 80).map(({ x }) => x)).toEqual(steps.map((_, at) => at * 5));
  });

  it('handles a single step with zero loss and an empty list', () => {
    expect(lossPoints([{ lossBefore: 0, lossAfter: 0 }], 100, 80)).toEqual([
      { x: 0, before: 80, after: 80 },
    ]);
    expect(lossPoints([], 100, 80)).toEqual([]);
  });
});
