/**
 * A lock that the worker holds while it lives (Web Locks API): the page waits for it and so
 * notices the end of the worker, which causes no event. It is given up while the page is in the
 * back/forward cache.
 */
export class LifeLock {
  readonly #onHeld: () => void;
  #name: string | null = null;
  #release: (() => void) | null = null;

  /** `onHeld`: the page can wait for the lock from now on. */
  constructor(onHeld: () => void) {
    this.#onHeld = onHeld;
  }

  /** Takes the lock; `null` where there are no locks. */
  open(name: string | null): void {
    this.#name = name;
    this.hold(true);
  }

  hold(held: boolean): void {
    if (!held) {
      this.#release?.();
      this.#release = null;
      return;
    }
    if (this.#name === null) return;
    if (this.#release !== null) {
      this.#onHeld();
      return;
    }
    const released = new Promise<void>((release) => {
      this.#release = release;
    });
    navigator.locks
      .request(this.#name, () => {
        this.#onHeld();
        return released;
      })
      .catch(() => undefined);
  }
}
