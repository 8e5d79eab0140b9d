// Typesetting and colours of posters.
import { describe, expect, it } from 'vitest';
import { films } from '../dev/films.ts';
import { figure, palette, placement, posterGenres, setTitle } from '../src/poster.ts';

describe('setTitle', () => {
  it('sets short titles wide and large, long titles narrow and small', () => {
    const short = setTitle('M');
    const long = setTitle('How I Learned to Stop Worrying and Love the Bomb');
    expect(short).toEqual({ size: 27, stretch: 125 });
    expect(long.stretch).toBeLessThan(short.stretch);
    expect(long.size).toBeLessThan(short.size);
  });

  it('fits the longest word into the poster width', () => {
    for (const { title } of films) {
      const { size, stretch } = setTitle(title);
      const longest = Math.max(...title.split(' ').map((word) => word.length));
      // All letters except M and W are at most 0.8 em wide at 100 %.
      const widest = longest * 0.6 * size * (stretch / 100);
      expect(widest, title).toBeLessThan(100);
    }
  });

  it('reserves space for other text', () => {
    const title = 'The Horseman on the Roof';
    expect(setTitle(title, 40).size).toBeLessThan(setTitle(title).size);
  });
});

describe('colours', () => {
  it('come from the genres, with a neutral palette for unknown genres', () => {
    expect(palette(['Comedy']).ground).toBe('#f7c53d');
    expect(palette(['Comedy', 'Drama']).figure).toBe(palette(['Drama']).ground);
    expect(palette(['Cookery'])).toEqual(palette([]));
  });

  it('keep the figure visible on the ground', () => {
    // The grounds of Crime and Film-Noir are too similar: the figure keeps its own colour.
    expect(palette(['Crime', 'Film-Noir']).figure).toBe(palette(['Crime']).figure);
  });
});

it('gives a film the same poster every time, and similar films different posters', () => {
  const comedies = Array.from({ length: 20 }, (_, n) => ({
    item: `c${n}`,
    genres: ['Comedy', 'Drama'],
  }));
  const looks = comedies.map((film) => `${posterGenres(film)} ${placement(film)}`);
  expect(looks).toEqual(comedies.map((film) => `${posterGenres(film)} ${placement(film)}`));
  expect(new Set(looks).size).toBeGreaterThan(4);
  expect(figure(['Cookery', 'Western'])).toBe(figure(['Western']));
});
