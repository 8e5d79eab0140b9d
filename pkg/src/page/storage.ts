import type { TrackedEvent } from '../shared/generated.js';

/** An event in the journal, which is not yet in a snapshot. */
export interface JournalEntry {
  /** Position in the journal; increasing, and never reused. */
  key: number;
  /** The tab that wrote it, and its number there. */
  tab: string;
  id: number;
  event: TrackedEvent;
}

/** An event that is queued for the server. */
export interface OutgoingEvent extends TrackedEvent {
  /** Its id, the same at every attempt. */
  id: string;
  /** Its time in milliseconds since 1970. */
  at: number;
  /** The id of the recommendations that led to it, if the page gave it. */
  recommendation?: string;
  /** The name under which it is logged; absent in events of earlier versions. */
  session?: string;
}

/** The stored state, without the bytes. */
export interface StoredState {
  /** Increases when a session is replaced: by a reset, an import or an undo. */
  generation: number;
  /** Highest key of the entries in the snapshot. */
  through: number;
  /** Keys in the journal, increasing. */
  keys: number[];
}

/** A new state for {@link PersonalStorage.update}. */
export interface Change {
  generation: number;
  through: number;
  /** The session; `null`: an empty one. */
  snapshot: Uint8Array | null;
  /** Entries to remove from the journal. */
  drop: readonly number[];
}

/** The result of {@link PersonalStorage.load}. */
export interface Saved extends StoredState {
  snapshot: Uint8Array | null;
  entries: JournalEntry[];
}

/**
 * Storage of a visitor's session: a snapshot, the events since (the journal), and events that
 * are queued for the server. The package has two, in memory and in IndexedDB; a page may
 * provide its own. If a method rejects, the recommender emits an `error` and continues in
 * memory.
 */
export interface PersonalStorage {
  load(): Promise<Saved>;
  /** Appends to the journal; returns the key of the first entry. Keys have no gaps. */
  append(entries: Omit<JournalEntry, 'key'>[]): Promise<number>;
  /** Removes entries from the journal. */
  remove(keys: readonly number[]): Promise<void>;
  /**
   * In one transaction, calls `decide` with the stored state and stores the result. Returns
   * `false` if it was `null`.
   */
  update(decide: (stored: StoredState) => Change | null): Promise<boolean>;
  /** Queues events for the server; beyond `limit` the oldest are dropped. */
  queue(events: readonly OutgoingEvent[], limit: number): Promise<void>;
  /** The oldest queued events, at most `limit` (a number below 2³²). */
  unsent(limit: number): Promise<OutgoingEvent[]>;
  /** Removes events from the queue. */
  unqueue(ids: readonly string[]): Promise<void>;
  /** Removes everything. */
  clear(): Promise<void>;
  /** Closes the storage. */
  close(): void;
}

/** Keeps a session while the page is open. */
export class MemoryStorage implements PersonalStorage {
  #snapshot: Uint8Array | null = null;
  #generation = 0;
  #through = 0;
  #lastKey = 0;
  #entries: JournalEntry[] = [];
  readonly #outgoing = new Map<string, OutgoingEvent>();

  async load(): Promise<Saved> {
    return { ...this.#state(), snapshot: this.#snapshot, entries: [...this.#entries] };
  }

  async append(entries: Omit<JournalEntry, 'key'>[]): Promise<number> {
    const first = this.#lastKey + 1;
    for (const entry of entries) {
      this.#lastKey += 1;
      this.#entries.push({ ...entry, key: this.#lastKey });
    }
    return first;
  }

  async remove(keys: readonly number[]): Promise<void> {
    this.#entries = this.#entries.filter(({ key }) => !keys.includes(key));
  }

  async update(decide: (stored: StoredState) => Change | null): Promise<boolean> {
    const change = decide(this.#state());
    if (change === null) return false;
    this.#generation = change.generation;
    this.#through = change.through;
    this.#snapshot = change.snapshot;
    const dropped = new Set(change.drop);
    this.#entries = this.#entries.filter(({ key }) => !dropped.has(key));
    return true;
  }

  async queue(events: readonly OutgoingEvent[], limit: number): Promise<void> {
    for (const event of events) this.#outgoing.set(event.id, event);
    for (const id of this.#outgoing.keys()) {
      if (this.#outgoing.size <= limit) break;
      this.#outgoing.delete(id);
    }
  }

  async unsent(limit: number): Promise<OutgoingEvent[]> {
    return [...this.#outgoing.values()].slice(0, limit);
  }

  async unqueue(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#outgoing.delete(id);
  }

  async clear(): Promise<void> {
    this.#snapshot = null;
    this.#entries = [];
    this.#outgoing.clear();
  }

  close(): void {}

  #state(): StoredState {
    const keys = this.#entries.map(({ key }) => key);
    return { generation: this.#generation, through: this.#through, keys };
  }
}
