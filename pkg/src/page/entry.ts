/** An entry of `sessionStorage` or `localStorage`; of this page where the browser blocks them. */
export class Entry {
  readonly #storage: () => Storage;
  readonly #key: string;
  #onPage: string | null = null;

  /** `storage`: called at every use, because reading the global may throw. */
  constructor(storage: () => Storage, key: string) {
    this.#storage = storage;
    this.#key = key;
  }

  get(): string | null {
    try {
      return this.#storage().getItem(this.#key) ?? this.#onPage;
    } catch {
      return this.#onPage;
    }
  }

  set(value: string): string {
    try {
      this.#storage().setItem(this.#key, value);
    } catch {
      this.#onPage = value;
    }
    return value;
  }

  remove(): void {
    this.#onPage = null;
    try {
      this.#storage().removeItem(this.#key);
    } catch {
      // Blocked: there is nothing to remove.
    }
  }
}
