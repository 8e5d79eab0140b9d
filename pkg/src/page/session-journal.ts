import { type StorageError, TandemError } from '../shared/errors.js';
import type { TrackedEvent } from '../shared/generated.js';
import type { NumberedEvent, Restore } from '../shared/messages.js';
import { Gone } from './indexed-db.js';
import { QUEUE_LIMIT } from './outbox.js';
import { type Change, type JournalEntry, MemoryStorage, type PersonalStorage } from './storage.js';

/** What the journal needs of the session in the worker. */
export interface JournaledSession {
  /** The session with all events that were sent to it. */
  export(): Promise<Uint8Array>;
  /** Replaces it by a stored session. */
  restore(restore: Restore): Promise<unknown>;
  /** Takes an event of another tab. */
  apply(event: NumberedEvent): Promise<unknown>;
}

/** Notifications of a journal. */
export interface JournalListener {
  /** The storage failed; the session continues in memory. */
  onFault(error: StorageError | TandemError): void;
  /** Something was stored that other tabs should load. */
  onStored(): void;
}

/**
 * A write-ahead journal of the session. An event is in the journal before it is acknowledged,
 * and is removed only when a snapshot that includes it is stored. From snapshot and journal a
 * session continues after the worker has died and, in a storage that outlives the page, at the
 * next visit and in other tabs.
 *
 * Tabs share one journal. Each applies the entries of the others ({@link sync}). Only a tab
 * that has applied all entries may store a snapshot.
 */
export class SessionJournal {
  readonly tab: string;
  readonly #session: JournaledSession;
  readonly #listener: JournalListener;
  #storage: PersonalStorage;
  #generation = 0;
  /** All entries up to this key are in the session, or were removed. */
  #through = 0;
  /** Later entries that are in the session and in the journal: key to the event's number. */
  readonly #applied = new Map<number, number>();
  /** Later entries that are in the session and in a snapshot. */
  readonly #folded = new Set<number>();
  #lastId = 0;
  /** Events to be written, and the promise of the current write. */
  #unwritten: Omit<JournalEntry, 'key'>[] = [];
  #writing: Promise<void> = Promise.resolve();
  #writePlanned: Promise<void> | null = null;
  /** Events that were refused, and must not be replayed. */
  readonly #forgotten = new Set<number>();
  /** Operations on the whole session, one after another. */
  #whole: Promise<unknown> = Promise.resolve();
  #replacing = 0;
  #syncPlanned: Promise<void> | null = null;

  constructor(
    storage: PersonalStorage,
    tab: string,
    session: JournaledSession,
    listener: JournalListener,
  ) {
    this.#storage = storage;
    this.tab = tab;
    this.#session = session;
    this.#listener = listener;
  }

  get storage(): PersonalStorage {
    return this.#storage;
  }

  /** Whether the session is being replaced: new events should wait for {@link idle}. */
  get busy(): boolean {
    return this.#replacing > 0;
  }

  /** Resolves once the session is not being replaced. */
  async idle(): Promise<void> {
    while (this.busy) await this.#whole.catch(() => undefined);
  }

  /** The stored session, except for events that are sent as calls. */
  async restore(except: () => ReadonlySet<number> = () => new Set()): Promise<Restore> {
    await this.#writing;
    try {
      const saved = await this.#storage.load();
      return this.#adopt(saved, except());
    } catch (error) {
      this.#fail(error);
      return { snapshot: null, events: [] };
    }
  }

  /** The number of a new event. The caller sends it to the session right after {@link record}. */
  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Writes an event; resolves once it is stored. */
  record(id: number, event: TrackedEvent): Promise<void> {
    this.#unwritten.push({ tab: this.tab, id, event });
    // Simultaneous events are written in one transaction.
    this.#writePlanned ??= this.#writing.then(() => this.#write());
    this.#writing = this.#writePlanned;
    return this.#writePlanned;
  }

  /** An event was refused: it is removed from the journal. */
  async forget(id: number): Promise<void> {
    this.#forgotten.add(id);
    await this.#writing;
    const keys = [...this.#applied].flatMap(([key, of]) => (of === id ? [key] : []));
    for (const key of keys) this.#fold(key);
    await this.#attempt(() => this.#storage.remove(keys));
  }

  /** Stores a snapshot that includes all events up to `throughId`. */
  async keep(snapshot: Uint8Array, throughId: number): Promise<void> {
    // The session is being replaced: its successor will have its own snapshot.
    if (this.busy) return;
    const generation = this.#generation;
    await this.#writing;
    if (generation !== this.#generation) return;
    let dropped: number[] = [];
    const stored = await this.#attempt(() =>
      this.#storage.update((found) => {
        if (found.generation !== generation || this.#behind(found)) return null;
        const listed = new Set(found.keys);
        for (const key of [...this.#applied.keys()]) if (!listed.has(key)) this.#fold(key);
        dropped = [...this.#applied].flatMap(([key, id]) => (id <= throughId ? [key] : []));
        const through = dropped.reduce((most, key) => Math.max(most, key), found.through);
        return { generation, through, snapshot, drop: dropped };
      }),
    );
    if (stored === false) await this.sync();
    if (stored === true) for (const key of dropped) this.#fold(key);
  }

  /** Replaces the stored session by the snapshot of `session`; resolves with its value. */
  replace<T>(session: () => Promise<{ value: T; snapshot: Uint8Array | null }>): Promise<T> {
    return this.#exclusively(async () => {
      // First applies what another tab has just written.
      await this.#catchUp();
      const { value, snapshot } = await session();
      await this.#writing;
      await this.#attempt(() =>
        this.#storage.update((found): Change => {
          const generation = found.generation + 1;
          const drop = snapshot === null ? found.keys : found.keys.filter((key) => this.#seen(key));
          const through = drop.reduce((most, key) => Math.max(most, key), found.through);
          this.#nothingApplied();
          this.#generation = generation;
          this.#through = through;
          return { generation, through, snapshot, drop };
        }),
      );
      this.#listener.onStored();
      return value;
    });
  }

  /** Applies what other tabs have stored. */
  sync(): Promise<void> {
    // A planned sync loads what is stored when it runs.
    this.#syncPlanned ??= this.#exclusively(() => {
      this.#syncPlanned = null;
      return this.#catchUp();
    });
    return this.#syncPlanned;
  }

  async #catchUp(): Promise<void> {
    await this.#writing;
    const saved = await this.#attempt(() => this.#storage.load());
    if (saved === undefined) return;
    if (saved.generation !== this.#generation || this.#missed(saved)) {
      await this.#session.restore(this.#adopt(saved, new Set()));
      return;
    }
    for (const { key, tab, event } of saved.entries) {
      if (this.#seen(key) || tab === this.tab) continue;
      const id = this.nextId();
      this.#applied.set(key, id);
      await this.#session.apply({ id, event });
    }
  }

  /**
   * Continues in another storage. If it has a session already, the events of this page are
   * appended to that. `keepQueue`: events that are queued for the server move as well.
   */
  moveTo(
    storage: PersonalStorage,
    events: readonly TrackedEvent[],
    keepQueue: boolean,
  ): Promise<void> {
    return this.#exclusively(async () => {
      await this.#writing;
      const throughId = this.#lastId;
      const bytes = await this.#session.export();
      await this.#writing;
      const before = this.#storage;
      this.#storage = storage;
      const saved = await this.#attempt(() => storage.load());
      if (saved === undefined || this.#storage !== storage) return;
      const empty = saved.snapshot === null && saved.entries.length === 0;
      if (keepQueue) {
        await this.#attempt(async () =>
          storage.queue(await before.unsent(QUEUE_LIMIT), QUEUE_LIMIT),
        );
      }
      if (empty) {
        this.#nothingApplied();
        this.#through = saved.through;
        await this.#begin(bytes, throughId);
      } else {
        const first = await this.#attempt(() =>
          storage.append(events.map((event) => ({ tab: this.tab, id: this.nextId(), event }))),
        );
        const joined = first === undefined ? saved : await this.#attempt(() => storage.load());
        if (joined !== undefined) {
          await this.#session.restore(this.#adopt(joined, new Set()));
        }
      }
      await before.clear().catch(() => undefined);
      before.close();
      this.#listener.onStored();
    });
  }

  async #write(): Promise<void> {
    const entries = this.#unwritten;
    this.#unwritten = [];
    this.#writePlanned = null;
    const first = await this.#attempt(() => this.#storage.append(entries));
    if (first === undefined) return;
    entries.forEach(({ id }, at) => {
      this.#applied.set(first + at, id);
    });
    const refused = entries.flatMap(({ id }, at) => (this.#forgotten.has(id) ? [first + at] : []));
    for (const key of refused) this.#fold(key);
    if (refused.length > 0) await this.#attempt(() => this.#storage.remove(refused));
    this.#listener.onStored();
  }

  /** Marks the entries of a stored session as applied. */
  #adopt(
    saved: {
      generation: number;
      through: number;
      snapshot: Uint8Array | null;
      entries: JournalEntry[];
    },
    except: ReadonlySet<number>,
  ): Restore {
    const before = new Map(this.#applied);
    this.#nothingApplied();
    this.#generation = saved.generation;
    this.#through = saved.through;
    const events: NumberedEvent[] = [];
    for (const { key, tab, id, event } of saved.entries) {
      const ours = before.get(key) ?? (tab === this.tab ? id : this.nextId());
      this.#applied.set(key, ours);
      if (!except.has(ours)) events.push({ id: ours, event });
    }
    return { snapshot: saved.snapshot, events };
  }

  /** Whether the journal or the snapshot has entries that this session lacks. */
  #behind(found: { through: number; keys: number[] }): boolean {
    return this.#missed(found) || found.keys.some((key) => !this.#seen(key));
  }

  /** Whether the stored snapshot has entries that this session lacks. */
  #missed({ through }: { through: number }): boolean {
    for (let key = this.#through + 1; key <= through; key += 1) {
      if (!this.#seen(key)) return true;
    }
    return false;
  }

  #seen(key: number): boolean {
    return key <= this.#through || this.#applied.has(key) || this.#folded.has(key);
  }

  /** An entry has left the journal: it is in a snapshot, or was refused. */
  #fold(key: number): void {
    this.#applied.delete(key);
    this.#folded.add(key);
    while (this.#folded.delete(this.#through + 1)) this.#through += 1;
  }

  #nothingApplied(): void {
    this.#applied.clear();
    this.#folded.clear();
  }

  /** Stores the first snapshot of a storage, with all events up to `throughId`. */
  async #begin(snapshot: Uint8Array, throughId: number): Promise<void> {
    await this.#writing;
    await this.#attempt(() =>
      this.#storage.update((found) => {
        this.#generation = found.generation;
        const drop = [...this.#applied].flatMap(([key, id]) => (id <= throughId ? [key] : []));
        for (const key of drop) this.#fold(key);
        const through = drop.reduce((most, key) => Math.max(most, key), found.through);
        return { generation: found.generation, through, snapshot, drop };
      }),
    );
  }

  /** Runs an operation on the whole session after those before it. */
  #exclusively<T>(job: () => Promise<T>): Promise<T> {
    this.#replacing += 1;
    const run = this.#whole
      .catch(() => undefined)
      .then(job)
      .finally(() => {
        this.#replacing -= 1;
      });
    this.#whole = run;
    return run;
  }

  /** Uses the storage. If it fails: `undefined`, and the session continues elsewhere. */
  async #attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  /**
   * The storage failed, or its database was deleted. The session has all of its content and is
   * stored again, in memory or in a new database.
   */
  #fail(error: unknown): void {
    if (!(error instanceof Gone)) {
      if (this.#storage instanceof MemoryStorage) return;
      this.#storage.close();
      this.#storage = new MemoryStorage();
      this.#listener.onFault(
        error instanceof TandemError
          ? error
          : new TandemError('storage', error instanceof Error ? error.message : String(error)),
      );
    }
    this.#nothingApplied();
    this.#generation = 0;
    this.#through = 0;
    // All events so far were sent to the session before this export.
    const throughId = this.#lastId;
    void this.#session
      .export()
      .then((bytes) => this.#begin(bytes, throughId))
      // Without a worker there is nothing to store; the supervisor reports its end.
      .catch(() => undefined);
  }
}
