// How posters are set and coloured.
import { describe, expect, it } from 'vitest';
import { films } from '../dev/films.ts';
import { figure, palette, placement, posterGenres, setTitle } from '../src/poster.ts';

describe('setTitle', () => {
  it('sets short titles wide and large, long ones narrow and small', () => {
    const short = setTitle('M');
    const long = setTitle('How I Learned to Stop Worrying and Love the Bomb');
    expect(short).toEqual({ size: 27, stretch: 125 });
    expect(long.stretch).toBeLessThan(short.stretch);
    expect(long.size).toBeLessThan(short.size);
  });

  it('keeps the longest word within the poster', () => {
    for (const { title } of films) {
      const { size, stretch } = setTitle(title);
      const longest = Math.max(...title.split(' ').map((word) => word.length));
      // No letter but M and W is wider than 0.8 em at 100 %.
      const widest = longest * 0.6 * size * (stretch / 100);
      expect(widest, title).toBeLessThan(100);
    }
  });

  it('leaves room for other text', () => {
    const title = 'The Horseman on the Roof';
    expect(setTitle(title, 40).size).toBeLessThan(setTitle(title).size);
  });
});

describe('colours', () => {
  it('are those of the genres, and plain for an unknown one', () => {
    expect(palette(['Comedy']).ground).toBe('#f7c53d');
    expect(palette(['Comedy', 'Drama']).figure).toBe(palette(['Drama']).ground);
    expect(palette(['Cookery'])).toEqual(palette([]));
  });

  it('never lose the figure on the ground', () => {
    // Crime's ground is nearly Film-Noir's: the figure keeps its own colour.
    expect(palette(['Crime', 'Film-Noir']).figure).toBe(palette(['Crime']).figure);
  });
});

it('gives a film the same poster every time, and a shelf more than one', () => {
  const comedies = Array.from({ length: 20 }, (_, n) => ({
    item: `c${n}`,
    genres: ['Comedy', 'Drama'],
  }));
  const looks = comedies.map((film) => `${posterGenres(film)} ${placement(film)}`);
  expect(looks).toEqual(comedies.map((film) => `${posterGenres(film)} ${placement(film)}`));
  expect(new Set(looks).size).toBeGreaterThan(4);
  expect(figure(['Cookery', 'Western'])).toBe(figure(['Western']));
});
