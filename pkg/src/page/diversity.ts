import type { SimilarItem } from '../shared/generated.js';

/** Items of the ranking among which a diverse list is chosen, per item of the list. */
const CANDIDATES_PER_ITEM = 4;
/** Fewest candidates, and the number of items that are diversified if the list has no length. */
const MIN_CANDIDATES = 50;
/** Number of items whose similarity to a chosen one is known; the others count as unlike. */
export const NEIGHBOURS = 200;

/** The items most similar to another; `null` if its row is not on the device. */
export type Neighbours = (item: string, k: number) => Promise<SimilarItem[] | null>;

/**
 * Orders the best items by maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998): each
 * next one has the highest `(1 - diversity) * relevance - diversity * similarity`, where the
 * relevance is the score scaled to [0, 1] and the similarity is the largest cosine with an item
 * chosen before, at least 0. With `diversity` 0 the order does not change.
 */
export async function diversified<T extends { item: string; score: number }>(
  items: readonly T[],
  count: number | undefined,
  diversity: number,
  neighbours: Neighbours,
): Promise<T[]> {
  const size = Math.max((count ?? 0) * CANDIDATES_PER_ITEM, MIN_CANDIDATES);
  const candidates = items.slice(0, size);
  const relevance = scaled(candidates);
  const similarity = new Map(candidates.map(({ item }) => [item, 0]));
  const chosen: T[] = [];
  const wanted = Math.min(count ?? size, candidates.length);
  while (chosen.length < wanted) {
    const value = ({ item }: T): number =>
      (1 - diversity) * (relevance.get(item) ?? 0) - diversity * (similarity.get(item) ?? 0);
    // The first of several equal ones: the candidates are in the order of the ranking.
    const best = candidates.reduce((a, b) => (value(b) > value(a) ? b : a));
    chosen.push(best);
    candidates.splice(candidates.indexOf(best), 1);
    if (chosen.length === wanted) break;
    for (const near of (await neighbours(best.item, NEIGHBOURS)) ?? []) {
      const known = similarity.get(near.item);
      if (known !== undefined && near.similarity > known) {
        similarity.set(near.item, near.similarity);
      }
    }
  }
  return [...chosen, ...candidates, ...items.slice(size)];
}

/** Scores scaled to [0, 1]; 1 if all are equal. */
function scaled(items: readonly { item: string; score: number }[]): Map<string, number> {
  const scores = items.map(({ score }) => score);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  return new Map(
    items.map(({ item, score }) => [item, high > low ? (score - low) / (high - low) : 1]),
  );
}
