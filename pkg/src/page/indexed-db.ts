import { StorageError } from '../shared/errors.js';
import { NAME_PREFIX } from '../shared/names.js';
import type {
  Change,
  JournalEntry,
  OutgoingEvent,
  PersonalStorage,
  Saved,
  StoredState,
} from './storage.js';

/** Version of the stores below. A database of an older version is emptied. */
export const LAYOUT = 2;

/** Time limit for opening the database, in milliseconds. */
export const OPEN_PATIENCE_MS = 3_000;

const STORES = ['session', 'journal', 'outgoing'] as const;
const SESSION_KEY = 'session';

/** The one record of the store `session`. */
interface SessionRecord {
  generation: number;
  through: number;
  snapshot: Uint8Array | null;
}

/** A session in IndexedDB, shared by the tabs of an origin. */
export class IndexedDbStorage implements PersonalStorage {
  readonly #name: string;
  #database: Promise<IDBDatabase> | null = null;
  /** The database was deleted while this tab had it open. */
  #gone = false;

  /** There is one database per scope, which is a server and a profile. */
  constructor(scope: string) {
    this.#name = `${NAME_PREFIX} ${scope}`;
  }

  async load(): Promise<Saved> {
    return this.#run('readonly', async (transaction) => {
      const { generation, through, snapshot } = await readSession(transaction);
      const entries = await requested<JournalEntry[]>(transaction.objectStore('journal').getAll());
      const keys = entries.map(({ key }) => key);
      return { generation, through, snapshot, entries, keys };
    });
  }

  append(entries: Omit<JournalEntry, 'key'>[]): Promise<number> {
    return this.#run('readwrite', async (transaction) => {
      const journal = transaction.objectStore('journal');
      const requests = entries.map((entry) => requested(journal.add(entry)));
      const [first] = (await Promise.all(requests)) as number[];
      return first ?? 0;
    });
  }

  remove(keys: readonly number[]): Promise<void> {
    return this.#run('readwrite', async (transaction) => {
      for (const key of keys) transaction.objectStore('journal').delete(key);
    });
  }

  update(decide: (stored: StoredState) => Change | null): Promise<boolean> {
    return this.#run('readwrite', async (transaction) => {
      const journal = transaction.objectStore('journal');
      const { generation, through } = await readSession(transaction);
      const keys = (await requested(journal.getAllKeys())) as number[];
      const change = decide({ generation, through, keys });
      if (change === null) return false;
      const record: SessionRecord = {
        generation: change.generation,
        through: change.through,
        snapshot: change.snapshot,
      };
      transaction.objectStore('session').put(record, SESSION_KEY);
      for (const key of change.drop) journal.delete(key);
      return true;
    });
  }

  queue(events: readonly OutgoingEvent[], limit: number): Promise<void> {
    return this.#run('readwrite', async (transaction) => {
      const outgoing = transaction.objectStore('outgoing');
      for (const event of events) outgoing.put(event);
      const surplus = (await requested(outgoing.count())) - limit;
      if (surplus <= 0) return;
      const oldest = await requested(outgoing.index('at').getAllKeys(null, surplus));
      // The keys of the index are those of the store.
      for (const key of oldest) outgoing.delete(key);
    });
  }

  unsent(limit: number): Promise<OutgoingEvent[]> {
    return this.#run('readonly', (transaction) =>
      requested<OutgoingEvent[]>(
        transaction.objectStore('outgoing').index('at').getAll(null, limit),
      ),
    );
  }

  unqueue(ids: readonly string[]): Promise<void> {
    return this.#run('readwrite', async (transaction) => {
      for (const id of ids) transaction.objectStore('outgoing').delete(id);
    });
  }

  clear(): Promise<void> {
    return this.#run('readwrite', async (transaction) => {
      // The counters stay, so that other tabs notice the change.
      const { generation, through } = await readSession(transaction);
      const empty: SessionRecord = { generation: generation + 1, through, snapshot: null };
      transaction.objectStore('session').put(empty, SESSION_KEY);
      transaction.objectStore('journal').clear();
      transaction.objectStore('outgoing').clear();
    });
  }

  close(): void {
    void this.#database?.then(
      (database) => database.close(),
      () => undefined,
    );
    this.#database = null;
  }

  /** Runs a job in one transaction over all stores; resolves once it is committed. */
  async #run<T>(
    mode: IDBTransactionMode,
    job: (transaction: IDBTransaction) => Promise<T>,
  ): Promise<T> {
    try {
      if (this.#gone) {
        this.#gone = false;
        throw new Gone();
      }
      this.#database ??= this.#open();
      const transaction = (await this.#database).transaction(STORES, mode);
      const done = new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(transaction.error ?? new Error('aborted'));
      });
      // Both are awaited below; if one fails, the other must not be an unhandled rejection.
      done.catch(() => undefined);
      const result = await job(transaction);
      await done;
      return result;
    } catch (error) {
      throw described(error);
    }
  }

  #open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () =>
          reject(new Error(`the browser did not open the database within ${OPEN_PATIENCE_MS} ms`)),
        OPEN_PATIENCE_MS,
      );
      const request = indexedDB.open(this.#name, LAYOUT);
      request.onupgradeneeded = () => {
        const database = request.result;
        for (const store of [...database.objectStoreNames]) database.deleteObjectStore(store);
        database.createObjectStore('session');
        database.createObjectStore('journal', { keyPath: 'key', autoIncrement: true });
        database.createObjectStore('outgoing', { keyPath: 'id' }).createIndex('at', 'at');
      };
      request.onerror = () => {
        clearTimeout(late);
        reject(request.error);
      };
      request.onsuccess = () => {
        clearTimeout(late);
        const database = request.result;
        const lost = (): void => {
          database.close();
          this.#database = null;
          this.#gone = true;
        };
        database.onversionchange = lost;
        database.onclose = lost;
        resolve(database);
      };
    });
  }
}

/** The database was deleted while it was open; the next attempt creates a new one. */
export class Gone extends Error {
  override name = 'Gone';
}

async function readSession(transaction: IDBTransaction): Promise<SessionRecord> {
  const found = await requested<SessionRecord | undefined>(
    transaction.objectStore('session').get(SESSION_KEY),
  );
  return found ?? { generation: 0, through: 0, snapshot: null };
}

function requested<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function described(error: unknown): Error {
  if (error instanceof Gone) return error;
  const { name, message } = error as { name?: string; message?: string };
  return name === 'QuotaExceededError'
    ? new StorageError('quota', 'the browser has no room left for this site; go on in memory')
    : new StorageError('storage', `the session cannot be kept: ${message || name || error}`);
}
