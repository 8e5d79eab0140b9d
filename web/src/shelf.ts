import type { RankedItem, Update, UpdateCause } from '@tandem-rec/client';

/** Number of films that the shelf shows at most. */
export const SHELF = 12;

/** What the shelf shows of a ranking. */
export function shelfOf({ items }: Pick<Update, 'items'>): readonly RankedItem[] {
  return items.slice(0, SHELF * 2);
}

/** Causes that the visitor did not bring about now. */
const unasked: ReadonlySet<UpdateCause> = new Set(['request', 'search', 'retry', 'tab', 'stock']);

/**
 * Whether an update must not move the films under the visitor's pointer: nothing was clicked,
 * and there is something to look at.
 */
export function waitsForVisitor(cause: UpdateCause, shelf: readonly RankedItem[]): boolean {
  return unasked.has(cause) && shelf.length > 0;
}

/** Whether the visible films of an update are others, or in another order, than the shelf's. */
export function differs({ items }: Pick<Update, 'items'>, shelf: readonly RankedItem[]): boolean {
  const ids = (list: readonly RankedItem[]): string =>
    list
      .slice(0, SHELF)
      .map(({ item }) => item)
      .join();
  return ids(items) !== ids(shelf);
}
