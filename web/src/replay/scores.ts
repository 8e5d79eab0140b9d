/** Items of a list that count as a recommendation. */
export const SHOWN = 10;

/** What is compared, in the order of the table. */
export const SYSTEMS = ['popularity', 'cloud', 'small', 'tandem'] as const;
export type SystemName = (typeof SYSTEMS)[number];

/** The places of the clicked items in the lists of one system. */
export interface Score {
  /** Of the clicks of this visitor: the place from 0, `null` if the item was not on the list. */
  places: readonly (number | null)[];
  /** Clicks of all visitors replayed on this page. */
  clicks: number;
  hits: number;
  /** Sum of the discounted gains of all clicks. */
  gain: number;
  /** Requests for lists, of all visitors. */
  calls: number;
}

export const noScore: Score = { places: [], clicks: 0, hits: 0, gain: 0, calls: 0 };

/** The place of an item on a list of {@link SHOWN} items; `null` if it is not there. */
export function placeOf(list: readonly string[], item: string): number | null {
  const place = list.slice(0, SHOWN).indexOf(item);
  return place < 0 ? null : place;
}

/** Adds a click. */
export function withPlace(score: Score, place: number | null, calls: number): Score {
  return {
    places: [...score.places, place],
    clicks: score.clicks + 1,
    hits: score.hits + (place === null ? 0 : 1),
    gain: score.gain + (place === null ? 0 : 1 / Math.log2(place + 2)),
    calls: score.calls + calls,
  };
}

/** Keeps the sums and forgets the places: the next visitor begins. */
export function nextVisitor(score: Score): Score {
  return { ...score, places: [] };
}

/** Share of the clicked items that were on the list; `null` before the first click. */
export function hitRate({ hits, clicks }: Score): number | null {
  return clicks === 0 ? null : hits / clicks;
}

/** Mean NDCG@10: with one clicked item, the discounted gain of its place. */
export function ndcg({ gain, clicks }: Score): number | null {
  return clicks === 0 ? null : gain / clicks;
}
