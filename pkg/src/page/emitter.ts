/** Errors that are kept for the first listener. */
const KEPT_ERRORS = 10;

/**
 * Listeners by event name. A listener that throws does not prevent the others from being
 * called. An `error` event without a listener is kept and delivered to the first one.
 */
export class Emitter<Events extends object> {
  readonly #listeners: { [Name in keyof Events]?: Set<(payload: Events[Name]) => void> } = {};
  #kept: { name: keyof Events; deliver(): void }[] = [];

  /** Adds a listener and returns the function that removes it. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void {
    const listeners = this.#listeners[name] ?? new Set();
    this.#listeners[name] = listeners;
    // A wrapper allows one function to be added twice and removed once.
    const entry = (payload: Events[Name]): void => listener(payload);
    listeners.add(entry);
    const kept = this.#kept.filter((event) => event.name === name);
    this.#kept = this.#kept.filter((event) => event.name !== name);
    // Not before the caller has the function that `on` returns.
    queueMicrotask(() => {
      for (const event of kept) event.deliver();
    });
    return () => {
      listeners.delete(entry);
    };
  }

  emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
    const listeners = [...(this.#listeners[name] ?? [])];
    if (listeners.length === 0 && name === 'error') {
      const deliver = (): void => this.emit(name, payload);
      this.#kept = [...this.#kept, { name, deliver }].slice(-KEPT_ERRORS);
    }
    for (const listener of listeners) {
      try {
        listener(payload);
      } catch (error) {
        // Reported like any uncaught error of the page, after the other listeners were called.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  clear(): void {
    for (const name of Object.keys(this.#listeners) as (keyof Events)[]) {
      this.#listeners[name]?.clear();
    }
  }
}
