import type { TandemError, WireError } from '../shared/errors.js';
import type { TrackedEvent } from '../shared/generated.js';
import type { Command, OpenSettings, Results } from '../shared/messages.js';
import type { Update } from '../shared/update.js';
import { IndexedDbStorage } from './indexed-db.js';
import type { RecommenderOptions } from './options.js';
import { Outbox } from './outbox.js';
import { SessionJournal } from './session-journal.js';
import { MemoryStorage, type PersonalStorage } from './storage.js';
import { randomId, Tabs } from './tabs.js';

/** Maximum number of events that are kept until there is consent. */
const REMEMBERED = 1_000;

/** What personal data needs from the recommender. */
export interface PersonalDataHost {
  call<C extends Command>(command: C): Promise<Results[C['type']]>;
  /** Whether the recommender has neither failed nor been disposed of. */
  ready(): boolean;
  error(error: TandemError): void;
  /** The consent changed, here or in another tab. */
  consentChanged(granted: boolean): void;
}

/**
 * The visitor's session outside of the worker: its journal, the queue of events for the server,
 * the other tabs, and the consent on which all three depend.
 */
export class PersonalData {
  readonly journal: SessionJournal;
  readonly outbox: Outbox | null;
  readonly #host: PersonalDataHost;
  readonly #lasting: () => PersonalStorage;
  readonly #server: string;
  #tabs: Tabs | null = null;
  #consent: boolean;
  #fault: WireError | null = null;
  /** Events of this page, for a storage that already has a session. */
  #pageEvents: TrackedEvent[] = [];

  constructor(options: RecommenderOptions, settings: OpenSettings, host: PersonalDataHost) {
    this.#host = host;
    this.#server = settings.server;
    this.#consent = settings.consent;
    this.#lasting = () => options.storage ?? new IndexedDbStorage(settings.server);
    const tab = randomId();
    this.journal = new SessionJournal(
      settings.consent ? this.#lasting() : new MemoryStorage(),
      tab,
      {
        export: () => host.call({ type: 'export' }),
        restore: (restore) => host.call({ type: 'restore', restore }),
        apply: ({ id, event }) => host.call({ type: 'track', id, event, tab: true }),
      },
      {
        onFault: (error) => {
          this.#fault = { code: error.code, message: error.message };
          host.error(error);
        },
        onStored: () => this.#tabs?.post('stored'),
      },
    );
    this.outbox =
      options.events === true
        ? new Outbox(tab, {
            storage: () => this.journal.storage,
            send: (path, body, why) => host.call({ type: 'send', path, body, why }),
            refused: (error) => host.error(error),
          })
        : null;
  }

  get consent(): boolean {
    return this.#consent;
  }

  /** Where the session is stored now. */
  get storage(): 'memory' | 'device' {
    return this.journal.storage instanceof MemoryStorage ? 'memory' : 'device';
  }

  /** Why the storage failed; `null` if it did not. */
  get fault(): WireError | null {
    return this.#fault;
  }

  /** Tracks an event; resolves once it is in the journal. */
  async track(event: TrackedEvent): Promise<Update> {
    const id = this.journal.nextId();
    const safe = this.journal.record(id, event);
    try {
      const [update] = await Promise.all([this.#host.call({ type: 'track', event, id }), safe]);
      this.#remember(event);
      await this.outbox?.add(event);
      return update;
    } catch (error) {
      // Refused. After the end of the worker or the recommender it stays in the journal.
      if (this.#host.ready()) await this.journal.forget(id);
      // The server may have a newer catalogue that contains the item.
      if ((error as TandemError).code === 'unknown_item') await this.outbox?.add(event);
      throw error;
    }
  }

  /** Reverts the newest event. */
  async undo(): Promise<Results['undo']> {
    const undone = await this.journal.replace(async () => {
      const value = await this.#host.call({ type: 'undo' });
      return { value, snapshot: await this.#host.call({ type: 'export' }) };
    });
    const { event } = undone;
    if (event !== null) {
      const names = this.#pageEvents.map(({ type, item }) => `${type} ${item}`);
      const at = names.lastIndexOf(`${event.type} ${event.item}`);
      if (at >= 0) this.#pageEvents.splice(at, 1);
      this.outbox?.takeBack(event);
    }
    return undone;
  }

  async reset(): Promise<void> {
    await this.journal.replace(async () => {
      await this.#host.call({ type: 'reset' });
      return { value: null, snapshot: null };
    });
    this.outbox?.forget();
    this.#pageEvents = [];
  }

  async import(bytes: Uint8Array): Promise<void> {
    await this.journal.replace(async () => {
      await this.#host.call({ type: 'import', bytes });
      return { value: null, snapshot: await this.#host.call({ type: 'export' }) };
    });
  }

  /** Grants or withdraws the consent to storage on this device. */
  async setConsent(granted: boolean): Promise<void> {
    this.#consent = granted;
    this.#host.consentChanged(granted);
    if (granted) {
      this.#fault = null;
      this.outbox?.suspend(false);
      await this.journal.moveTo(this.#lasting(), this.#pageEvents, true);
      this.#pageEvents = [];
      this.joinTabs();
    } else {
      this.#tabs?.post('erased');
      await this.#goToMemory();
    }
    await this.#host.call({ type: 'setConsent', granted });
  }

  /** Shares the stored session with the other tabs. */
  joinTabs(): void {
    if (!this.#host.ready()) return;
    this.#tabs ??= new Tabs(
      this.#server,
      () => {
        this.journal.sync().catch((error: TandemError) => this.#host.error(error));
      },
      () => {
        this.#consent = false;
        this.#host.consentChanged(false);
        void this.#goToMemory().catch(() => undefined);
        this.#host.call({ type: 'setConsent', granted: false }).catch(() => undefined);
      },
    );
  }

  close(): void {
    this.#tabs?.close();
    this.outbox?.close();
  }

  /** The consent was withdrawn. */
  #goToMemory(): Promise<void> {
    this.outbox?.suspend(true);
    this.#tabs?.close();
    this.#tabs = null;
    return this.journal.moveTo(new MemoryStorage(), [], false);
  }

  #remember(event: TrackedEvent): void {
    if (this.#consent) return;
    this.#pageEvents.push(event);
    if (this.#pageEvents.length > REMEMBERED) this.#pageEvents.shift();
  }
}
