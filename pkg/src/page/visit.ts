import { NAME_PREFIX } from '../shared/names.js';
import { Entry } from './entry.js';
import { randomId } from './tabs.js';

/**
 * The name under which events are logged: the site's own `userId`, with consent a random name
 * of the visitor, otherwise a random name of this visit. A visit lasts as long as its tab, over
 * all its pages.
 *
 * The visit's name is in `sessionStorage`, which ends with the tab, and the visitor's in
 * `localStorage`. Neither is written before an event needs it. `localStorage` also has the note
 * that the consent was withdrawn, for later pages and for pages in the back/forward cache. Where
 * the browser blocks these storages, all of this lasts as long as the page.
 */
export class Visit {
  readonly #userId: string | null;
  readonly #visit: Entry;
  readonly #visitor: Entry;
  readonly #withdrawn: Entry;
  #consent: boolean;

  /** `scope`: names of different scopes are independent. */
  constructor(scope: string, userId: string | null, consent: boolean) {
    this.#userId = userId;
    this.#consent = consent;
    this.#visit = new Entry(() => sessionStorage, `${NAME_PREFIX} visit ${scope}`);
    this.#withdrawn = new Entry(() => localStorage, `${NAME_PREFIX} withdrawn ${scope}`);
    this.#visitor = new Entry(() => localStorage, `${NAME_PREFIX} visitor ${scope}`);
    if (consent) this.#withdrawn.remove();
  }

  get name(): string {
    if (this.#userId !== null) return this.#userId;
    if (!this.#consent) return this.#visit.get() ?? this.#visit.set(randomId());
    // The first visit with consent gives the visitor its name, so that it is not split in two.
    return this.#visitor.get() ?? this.#visitor.set(this.#visit.get() ?? randomId());
  }

  /** The same, but `null` if no event has needed a name yet. */
  get given(): string | null {
    if (this.#userId !== null) return this.#userId;
    const visit = this.#visit.get();
    return this.#consent ? (this.#visitor.get() ?? visit) : visit;
  }

  /** Whether the visitor withdrew the consent, on this page or an earlier one. */
  get withdrawn(): boolean {
    return this.#withdrawn.get() !== null;
  }

  /** The visitor granted or withdrew the consent. A withdrawal deletes the names. */
  setConsent(granted: boolean): void {
    this.#consent = granted;
    if (granted) {
      this.#withdrawn.remove();
    } else {
      this.forget();
      this.#withdrawn.set('1');
    }
  }

  /** Deletes the names: later events are logged under a new one. */
  forget(): void {
    this.#visit.remove();
    this.#visitor.remove();
  }
}
