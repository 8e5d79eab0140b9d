import type { TrackedEvent } from '../shared/update.js';

/** An event in the journal: what a snapshot does not have yet. */
export interface JournalEntry {
  /** Place in the journal; rises, and is never given twice. */
  key: number;
  /** The tab that wrote it, and its number there. */
  tab: string;
  id: number;
  event: TrackedEvent;
}

/** An event that waits to be sent to the server. */
export interface OutgoingEvent extends TrackedEvent {
  /** Its name, the same at every attempt. */
  id: string;
  /** When it happened, in milliseconds since 1970. */
  at: number;
}

/** What is stored, without the bytes. */
export interface StoredState {
  /** Rises when a session is replaced as a whole: forgotten, brought in, taken back. */
  generation: number;
  /** Highest key of an entry that is in the snapshot. */
  through: number;
  /** Keys in the journal, rising. */
  keys: number[];
}

/** What {@link PersonalStorage.update} is to store. */
export interface Change {
  generation: number;
  through: number;
  /** The session; `null`: an empty one. */
  snapshot: Uint8Array | null;
  /** Entries to remove from the journal. */
  drop: readonly number[];
}

/** What {@link PersonalStorage.load} finds. */
export interface Saved extends StoredState {
  snapshot: Uint8Array | null;
  entries: JournalEntry[];
}

/**
 * Where a visitor's session is kept: a snapshot, the events since (the journal), and events
 * that wait to be sent. The package has two, in memory and in IndexedDB; a page may bring its
 * own. A method that rejects makes the recommender go on in memory, with an `error` event.
 */
export interface PersonalStorage {
  load(): Promise<Saved>;
  /** Appends to the journal; returns the key of the first, the others follow without gaps. */
  append(entries: Omit<JournalEntry, 'key'>[]): Promise<number>;
  /** Removes entries from the journal that are not to be replayed. */
  remove(keys: readonly number[]): Promise<void>;
  /**
   * In one transaction, shows `decide` what is stored and stores what it returns; `false` if
   * that was `null`.
   */
  update(decide: (stored: StoredState) => Change | null): Promise<boolean>;
  /** Queues events to be sent; of more than `limit` the oldest are dropped. */
  queue(events: readonly OutgoingEvent[], limit: number): Promise<void>;
  /** The oldest events that wait to be sent. */
  unsent(limit: number): Promise<OutgoingEvent[]>;
  /** Removes events from the queue. */
  unqueue(ids: readonly string[]): Promise<void>;
  /** Removes everything. */
  clear(): Promise<void>;
  /** Ends the use of it. */
  close(): void;
}

/** A session for as long as the page is open. */
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
