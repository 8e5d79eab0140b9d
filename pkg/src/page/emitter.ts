/** Listeners by event name; one that throws does not keep the others from being called. */
export class Emitter<Events extends object> {
  readonly #listeners: { [Name in keyof Events]?: Set<(payload: Events[Name]) => void> } = {};

  /** Adds a listener and returns the function that removes it again. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void {
    const listeners = this.#listeners[name] ?? new Set();
    this.#listeners[name] = listeners;
    // A wrapper of its own lets one function be added twice and removed once.
    const entry = (payload: Events[Name]): void => listener(payload);
    listeners.add(entry);
    return () => {
      listeners.delete(entry);
    };
  }

  emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
    for (const listener of [...(this.#listeners[name] ?? [])]) {
      try {
        listener(payload);
      } catch (error) {
        // Reported like any uncaught error of the page, after the others have been called.
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
