import type { Film } from './catalogue.ts';

/** Typesetting of a title; both values are used as CSS variables. */
export interface TitleSetting {
  /** Font size in percent of the poster width. */
  size: number;
  /** Font width axis (`font-stretch`), in percent. */
  stretch: number;
}

/** Advance widths of bold capitals at 100 % font width, in em, measured on the typeface. */
const advances: Record<string, number> = Object.fromEntries(
  (
    [
      ["'.,:;!-–I ", 0.32],
      ['1234567890?LFJ()', 0.62],
      ['ESPTZVXYBRADC', 0.72],
      ['KHNUOQG&', 0.79],
      ['MW', 0.96],
    ] as const
  ).flatMap(([letters, advance]) => [...letters].map((letter) => [letter, advance])),
);
const DEFAULT_ADVANCE = 0.76;

/** Font widths in percent, each with its factor on the advance widths. */
const stretches = [
  [125, 1.27],
  [112, 1.13],
  [100, 1],
  [88, 0.9],
  [75, 0.79],
  [62, 0.68],
] as const;

/** Space for the title, in percent of the poster width. */
const WIDTH = 87;
const HEIGHT = 70;
const LINE = 0.94;
const LARGEST = 27;
const SMALLEST = 6;

/**
 * Chooses font size and width so that the title fills the poster: short titles wide, long
 * titles narrow, words never broken. `taken` is the height used by other text.
 */
export function setTitle(title: string, taken = 0): TitleSetting {
  const words = title.toUpperCase().split(/\s+/).map(ems);
  let best: TitleSetting = { size: SMALLEST, stretch: 62 };
  let bestScore = 0;
  for (const [stretch, factor] of stretches) {
    const size = largestSize(words, factor, HEIGHT - taken);
    // Size weighs more than width: tall, narrow text is easier to read in long titles.
    const score = size ** 3 * factor;
    if (score > bestScore) {
      bestScore = score;
      best = { size, stretch };
    }
  }
  return best;
}

/** Width of a word at 100 % font width, in em. */
function ems(word: string): number {
  return [...word].reduce((sum, letter) => sum + (advances[letter] ?? DEFAULT_ADVANCE), 0);
}

function largestSize(words: readonly number[], factor: number, height: number): number {
  for (let size = LARGEST; size > SMALLEST; size -= 0.5) {
    const room = WIDTH / (size * factor);
    if (Math.max(...words) <= room && lines(words, room) * size * LINE <= height) return size;
  }
  return SMALLEST;
}

const SPACE = 0.3;

function lines(words: readonly number[], room: number): number {
  let count = 1;
  let used = 0;
  for (const word of words) {
    if (used > 0 && used + SPACE + word > room) {
      count += 1;
      used = word;
    } else used += (used > 0 ? SPACE : 0) + word;
  }
  return count;
}

/** Colours of a poster. */
export interface Palette {
  ground: string;
  ink: string;
  figure: string;
}

const palettes: Record<string, Palette> = {
  Action: { ground: '#c62c17', ink: '#fff6ec', figure: '#1c1413' },
  Adventure: { ground: '#0f6b52', ink: '#f3f5d9', figure: '#f2b632' },
  Animation: { ground: '#ff8636', ink: '#241002', figure: '#2747d4' },
  "Children's": { ground: '#45aee6', ink: '#04202f', figure: '#ffe25c' },
  Comedy: { ground: '#f7c53d', ink: '#2a1900', figure: '#e2522a' },
  Crime: { ground: '#25262c', ink: '#f3f1e8', figure: '#d33a3a' },
  Documentary: { ground: '#d5d9d6', ink: '#191c1b', figure: '#2a6d90' },
  Drama: { ground: '#771d2c', ink: '#ffeadb', figure: '#e0603f' },
  Fantasy: { ground: '#5a3ca8', ink: '#f4eeff', figure: '#f6bfe0' },
  'Film-Noir': { ground: '#101114', ink: '#f5f5f5', figure: '#8d959e' },
  Horror: { ground: '#190a0c', ink: '#f6d9cb', figure: '#b0141b' },
  Musical: { ground: '#ad2175', ink: '#fff0f8', figure: '#ffd23f' },
  Mystery: { ground: '#3a2861', ink: '#f0e6ff', figure: '#f0a04a' },
  Romance: { ground: '#f2a5b4', ink: '#470d20', figure: '#c22d4e' },
  'Sci-Fi': { ground: '#171c59', ink: '#dae5ff', figure: '#6fecd0' },
  Thriller: { ground: '#12343c', ink: '#dcf4ea', figure: '#e3b43a' },
  War: { ground: '#57573a', ink: '#f5f1d6', figure: '#cc472e' },
  Western: { ground: '#cb8138', ink: '#2a1405', figure: '#7a2b11' },
};
const plain: Palette = { ground: '#868c96', ink: '#0e1013', figure: '#f2f3f5' };

/**
 * The genres of a film, with the poster's genre first. It is one of the first two, chosen by
 * a hash of the item id, so that similar films do not all get the same colour.
 */
export function posterGenres({ item, genres }: Pick<Film, 'item' | 'genres'>): readonly string[] {
  const [first, second, ...rest] = genres;
  return first !== undefined && second !== undefined && itemHash(item) % 2 === 1
    ? [second, first, ...rest]
    : genres;
}

/** Position of the figure on the poster: one of four, determined by the item id. */
export function placement({ item }: Pick<Film, 'item'>): number {
  return (itemHash(item) >>> 1) % 4;
}

/** FNV-1a hash of an item id. */
function itemHash(item: string): number {
  let hash = 0x811c9dc5;
  for (const letter of item) {
    hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return hash >>> 3;
}

/** Palette of the first genre, with the figure in the ground colour of the second. */
export function palette(genres: readonly string[]): Palette {
  const known = genres.flatMap((genre) => palettes[genre] ?? []);
  const [first = plain, second] = known;
  return second === undefined ? first : { ...first, figure: pick(first, second) };
}

/** The second genre's ground colour, unless its contrast with the first is too low. */
function pick(first: Palette, second: Palette): string {
  return contrast(first.ground, second.ground) >= 1.8 ? second.ground : first.figure;
}

function contrast(a: string, b: string): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

/** Relative luminance of `#rrggbb` (WCAG 2). */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/**
 * SVG paths of the poster figures, one per genre, in a 100 × 100 view box.
 */
const figures: Record<string, string> = {
  Action: 'M0 100 60 0H84L24 100ZM40 100 100 0V40L64 100Z',
  Adventure: 'M0 100 34 30 52 66 70 42 100 100ZM70 8a10 10 0 1 1 0 20 10 10 0 0 1 0-20Z',
  Animation:
    'M20 20h28v28H20ZM66 16a18 18 0 1 1 0 36 18 18 0 0 1 0-36ZM34 60l24 36H10ZM60 64h30v30H60Z',
  "Children's":
    'M50 14a30 30 0 1 1 0 60 30 30 0 0 1 0-60ZM20 6a12 12 0 1 1 0 24 12 12 0 0 1 0-24ZM80 6a12 12 0 1 1 0 24 12 12 0 0 1 0-24Z',
  Comedy: 'M8 36a42 42 0 0 0 84 0ZM22 8h14v14H22ZM64 8h14v14H64Z',
  Crime: 'M0 18h100v7H0ZM0 36h100v7H0ZM0 54h100v7H0ZM0 72h100v7H0ZM38 0h24v100H38Z',
  Documentary: 'M10 14h80v52H10ZM10 74h52v6H10ZM10 86h34v6H10Z',
  Drama: 'M50 6A44 44 0 0 1 50 94ZM44 6v88A44 44 0 0 1 44 6Z',
  Fantasy:
    'M50 2 60 38 96 48 60 58 50 94 40 58 4 48 40 38ZM84 6l4 10 10 4-10 4-4 10-4-10-10-4 10-4Z',
  'Film-Noir': 'M0 8 100 0V10L0 20ZM0 30 100 18V30L0 44ZM0 54 100 40V54L0 70ZM0 80 100 64V80L0 98Z',
  Horror: 'M0 0h100v30L90 70 82 34 70 92 60 40 48 76 40 36 26 98 18 40 8 64 0 34Z',
  Musical: 'M10 70V20h10v50ZM28 90V8h10v82ZM46 60V30h10v30ZM64 84V14h10v70ZM82 66V26h10v40Z',
  Mystery:
    'M50 12C74 12 92 36 98 48 92 60 74 84 50 84S8 60 2 48C8 36 26 12 50 12ZM50 30a18 18 0 1 0 0 36 18 18 0 0 0 0-36Z',
  Romance: 'M34 20a28 28 0 1 1 0 56 28 28 0 0 1 0-56ZM74 20a28 28 0 0 1 0 56 34 34 0 0 0 0-56Z',
  'Sci-Fi': 'M50 20a28 28 0 1 1 0 56 28 28 0 0 1 0-56ZM0 62C30 58 70 44 98 26 80 52 40 72 0 74Z',
  Thriller: 'M50 6 96 94H4ZM50 36 26 82H74Z',
  War: 'M0 70H100V82H0ZM0 88H100V100H0ZM50 4 58 28H84L63 42 71 66 50 51 29 66 37 42 16 28H42Z',
  Western: 'M16 64a34 34 0 0 1 68 0ZM0 70h100v6H0ZM10 82h80v5H10ZM24 92h52v4H24Z',
};
const circle = 'M50 10a40 40 0 1 1 0 80 40 40 0 0 1 0-80Z';

/** SVG path of the first genre that has one. */
export function figure(genres: readonly string[]): string {
  const known = genres.find((genre) => figures[genre] !== undefined);
  return (known === undefined ? undefined : figures[known]) ?? circle;
}
