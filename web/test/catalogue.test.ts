// Title formatting and film search.
import { describe, expect, it } from 'vitest';
import { browse, catalogueFrom, search, splitTitle } from '../src/catalogue.ts';

describe('splitTitle', () => {
  it.each([
    ['Usual Suspects, The', 'The Usual Suspects', null],
    ['Postino, Il', 'Il Postino', null],
    [
      'Horseman on the Roof, The (Hussard sur le toit, Le)',
      'The Horseman on the Roof',
      'Le Hussard sur le toit',
    ],
    ["Eve's Bayou", "Eve's Bayou", null],
    [
      'Adventures of Priscilla, Queen of the Desert, The',
      'The Adventures of Priscilla, Queen of the Desert',
      null,
    ],
    // A year in parentheses is not an original title.
    ['The Great Giving (1995)', 'The Great Giving (1995)', null],
    ['Paris, Texas', 'Paris, Texas', null],
  ])('%s', (raw, title, original) => {
    expect(splitTitle(raw)).toEqual({ title, original });
  });
});

const catalogue = catalogueFrom(
  [
    { item: '1', title: 'Alien', year: 1979, genres: ['Horror', 'Sci-Fi'] },
    { item: '2', title: 'Aliens', year: 1986, genres: ['Sci-Fi'] },
    { item: '3', title: 'My Stepmother Is an Alien', year: 1988, genres: ['Comedy', 'Sci-Fi'] },
    { item: '4', title: 'Amélie', genres: [] },
  ],
  { model: { kind: 'sasrec', dims: 64, blocks: 2 }, popular: ['3', '2', 'gone'] },
);

describe('search', () => {
  const find = (query: string, limit = 10): string[] =>
    search(catalogue.films.values(), query, limit).map(({ item }) => item);

  it('lists titles that start with the query first', () => {
    expect(find('alien')).toEqual(['1', '2', '3']);
    expect(find('alien', 2)).toEqual(['1', '2']);
  });

  it('requires every word of the query; the year counts as a word', () => {
    expect(find('alien 1988')).toEqual(['3']);
    expect(find('alien nowhere')).toEqual([]);
  });

  it('ignores accents, case and extra spaces', () => {
    expect(find('  AMELIE ')).toEqual(['4']);
  });

  it('returns nothing for an empty query', () => {
    expect(find('   ')).toEqual([]);
  });
});

describe('catalogueFrom', () => {
  it('sorts genres by number of films', () => {
    expect(catalogue.genres).toEqual(['Sci-Fi', 'Horror', 'Comedy']);
  });

  it('describes the small model', () => {
    expect(catalogue.smallModel).toBe('SASRec (64 dimensions, 2 layers)');
  });
});

describe('browse', () => {
  it('shows popular films first, then those with the fewest other genres', () => {
    const items = browse(catalogue, 'Sci-Fi', 10).map(({ item }) => item);
    expect(items).toEqual(['3', '2', '1']);
  });

  it('shows films of all genres without a genre, up to the limit', () => {
    expect(browse(catalogue, null, 2).map(({ item }) => item)).toEqual(['3', '2']);
  });

  it('leaves out popular films that the catalogue does not have', () => {
    expect(catalogue.popular).toEqual(['3', '2']);
  });
});
