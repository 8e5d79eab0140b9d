/** The parts of the browser's window that the address needs. */
export interface AddressWindow {
  history: Pick<History, 'state' | 'pushState' | 'replaceState' | 'go'>;
  location: Pick<Location, 'hash' | 'pathname' | 'search'>;
  addEventListener(type: 'popstate' | 'hashchange', listener: () => void): void;
}

const PREFIX = '#film=';

/** The film that a fragment names (`#film=50`); `null` for any other fragment. */
export function filmOf(hash: string): string | null {
  if (!hash.startsWith(PREFIX)) return null;
  try {
    return decodeURIComponent(hash.slice(PREFIX.length)) || null;
  } catch {
    // Not valid percent-encoding.
    return null;
  }
}

export function addressOf(item: string): string {
  return PREFIX + encodeURIComponent(item);
}

/**
 * Keeps the page of a film and the fragment of the URL in step: each film that is opened has a
 * history entry, so that Back, Forward, a reload and a link all work.
 *
 * The fragment only says what is displayed. Watching a film is what counts as a click, not the
 * display of its page: `show` tracks nothing, whether a button, a link or a reload leads to it.
 */
export class FilmAddress {
  readonly #window: AddressWindow;
  readonly #show: (item: string | null) => void;
  /** Called when the URL names a film in a way that cannot be read. */
  onUnreadable: () => void = () => {};
  /** The visitor has closed the page of a film, and the browser is still going back. */
  #closing = false;

  /** `show`: displays the page of a film, or none. */
  constructor(window: AddressWindow, show: (item: string | null) => void) {
    this.#window = window;
    this.#show = show;
    window.addEventListener('popstate', () => this.#follow());
    window.addEventListener('hashchange', () => this.#follow());
  }

  /** The film that the URL names. */
  get item(): string | null {
    return filmOf(this.#window.location.hash);
  }

  /** Displays what the URL names. */
  restore(): void {
    this.#tidy();
    this.#show(this.item);
  }

  /** Displays a film and gives it a history entry. */
  open(item: string): void {
    this.#closing = false;
    if (item !== this.item) {
      this.#window.history.pushState({ films: this.#films + 1 }, '', addressOf(item));
    }
    this.#show(item);
  }

  /** Leaves all films that were opened one from another, and returns to the shop. */
  close(): void {
    if (this.item === null) return;
    this.#closing = true;
    if (this.#films === 0) this.#follow();
    else this.#window.history.go(-this.#films);
  }

  /**
   * Number of entries since the shop. It is in the state of the entry, which survives a reload. A
   * link to a film starts at 0: the entry before it belongs to another page.
   */
  get #films(): number {
    const { state } = this.#window.history;
    return this.item === null ? 0 : ((state as { films?: number } | null)?.films ?? 0);
  }

  /** Removes a fragment that names a film in a way that cannot be read. */
  #tidy(): void {
    const { history, location } = this.#window;
    if (!location.hash.startsWith(PREFIX) || this.item !== null) return;
    history.replaceState(null, '', location.pathname + location.search);
    this.onUnreadable();
  }

  #follow(): void {
    if (this.#closing) {
      this.#closing = false;
      const { history, location } = this.#window;
      // The entry of a link to a film becomes that of the shop.
      if (this.item !== null) history.replaceState(null, '', location.pathname + location.search);
    } else this.#tidy();
    this.#show(this.item);
  }
}
