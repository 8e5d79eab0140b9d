import { NAME_PREFIX } from '../shared/names.js';
import { Entry } from './entry.js';

/** How long an event that a page sent as it was left is not sent again, in milliseconds. */
export const HOLD_MS = 300_000;

/**
 * Events in a lasting queue that a page sent as it was left, without having seen the response.
 * Most have arrived: later pages wait before they send them again. In `localStorage`, because a
 * page that is being left has no time for a database.
 */
export class LastSent {
  readonly #entry: Entry;

  constructor(scope: string) {
    this.#entry = new Entry(() => localStorage, `${NAME_PREFIX} left ${scope}`);
  }

  /** Events were sent. */
  note(ids: readonly string[]): void {
    const now = Date.now();
    this.#write([...this.#read(), ...ids.map((id): [string, number] => [id, now])]);
  }

  /** The response arrived, or there will be none. */
  settle(ids: readonly string[]): void {
    const settled = new Set(ids);
    this.#write(this.#read().filter(([id]) => !settled.has(id)));
  }

  /** Ids of events that may have arrived and are not to be sent yet. */
  held(): ReadonlySet<string> {
    return new Set(this.#read().map(([id]) => id));
  }

  forget(): void {
    this.#entry.remove();
  }

  #read(): [string, number][] {
    const now = Date.now();
    try {
      const noted = JSON.parse(this.#entry.get() ?? '[]') as [string, number][];
      // A time after now is that of a clock that was set back.
      return noted.filter(([, at]) => at <= now && now - at < HOLD_MS);
    } catch {
      return [];
    }
  }

  #write(noted: readonly [string, number][]): void {
    if (noted.length === 0) this.#entry.remove();
    else this.#entry.set(JSON.stringify(noted));
  }
}
