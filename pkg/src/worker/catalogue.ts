import { type WireError, wireError } from '../shared/errors.js';
import type { Description } from '../shared/messages.js';

/**
 * Titles and other fields of the catalogue's items, from the manifest's file `items`. The device
 * loads that file with the whole item table; without it no item has a title.
 */
export class Catalogue {
  /** The file, until an item of it is needed. */
  #file: Uint8Array | null = null;
  #items = new Map<string, Description>();
  /** Items that the page knows already. */
  #sent = new Set<string>();

  /** Takes the file of a release; the session verifies its hash before anything is ranked. */
  take(file: Uint8Array): void {
    this.#file = file;
    this.#sent.clear();
  }

  /** What the page does not know yet about these items. */
  describe(items: readonly { item: string }[]): Description[] {
    if (items.length === 0) return [];
    if (this.#file !== null) this.#items = read(this.#file);
    this.#file = null;
    return items.flatMap(({ item }) => {
      const found = this.#items.get(item);
      if (found === undefined || this.#sent.has(item)) return [];
      this.#sent.add(item);
      return [found];
    });
  }
}

/** The items of a file of the manifest: an array of objects with at least `item`. */
function read(file: Uint8Array): Map<string, Description> {
  const items = new Map<string, Description>();
  try {
    const parsed = JSON.parse(new TextDecoder().decode(file)) as Record<string, unknown>[];
    for (const { item, title, ...fields } of parsed) {
      const named = typeof title === 'string' && title !== '' ? { title } : {};
      const others = Object.keys(fields).length > 0 ? { fields } : {};
      items.set(String(item), { item: String(item), ...named, ...others });
    }
  } catch {
    // The session reports a file that it cannot use.
  }
  return items;
}

/** Items of events that the server's catalogue does not have either. */
export function unknownItems(items: readonly string[]): WireError {
  const named = items.slice(0, 3).map((item) => `'${item}'`);
  return wireError(
    'unknown_item',
    `expected items of the catalogue, found ${named.join(', ')}` +
      `${items.length > 3 ? ` and ${items.length - 3} more` : ''}: the server’s current release ` +
      'does not have them, and their events do not change the recommendations; new items come ' +
      'with the next release or through POST /v1/items',
  );
}
