import type { DescribedExplanation } from '@tandem-rec/client';

/** Smallest effect on a film's score (logits) that is worth a sentence. */
const NOTICEABLE = 0.02;
/** A second film is named if its effect is at least this share of the first one's. */
const COMPARABLE = 0.8;

/**
 * The watched films that raise this film more than the other ranked films, strongest first, at
 * most two. Contributions are relative to the mean over the ranking, so a film that raises
 * everything alike is not named.
 */
export function strongestReasons(explanation: DescribedExplanation | null): string[] {
  const positive = (explanation?.contributions ?? [])
    .filter(({ logit }) => logit > NOTICEABLE)
    .sort((a, b) => b.logit - a.logit);
  const [first, second] = positive;
  if (first === undefined) return [];
  if (second === undefined || second.logit < COMPARABLE * first.logit) return [first.item];
  return [first.item, second.item];
}

/** `because you watched Alien and Brazil`, or where the film comes from. */
export function reasonText(
  reasons: readonly string[] | undefined,
  titleOf: (item: string) => string,
  fallback: string,
): string {
  if (reasons === undefined || reasons.length === 0) return fallback;
  return `Because you watched ${reasons.map(titleOf).join(' and ')}`;
}
