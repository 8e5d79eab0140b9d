import { errorFrom, type TandemError, type WireError, wireError } from '../shared/errors.js';
import type { TrackedEvent } from '../shared/generated.js';
import type { Command, OpenSettings, Results } from '../shared/messages.js';
import type { Update } from '../shared/update.js';
import type { Attribution } from './check.js';
import { IndexedDbStorage } from './indexed-db.js';
import { LastSent } from './last-sent.js';
import type { RecommenderOptions } from './options.js';
import { Outbox } from './outbox.js';
import { SessionJournal } from './session-journal.js';
import { MemoryStorage, type PersonalStorage } from './storage.js';
import { randomId, Tabs } from './tabs.js';
import { Visit } from './visit.js';

/** Maximum number of events that are kept until there is consent. */
const REMEMBERED = 1_000;

/** What personal data needs from the recommender. */
export interface PersonalDataHost {
  call<C extends Command>(command: C): Promise<Results[C['type']]>;
  /** Sends a body with a request that outlives the page; `null` if there may be none now. */
  sendLast(path: string, body: string, why: string): Promise<unknown> | null;
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
  readonly #scope: string;
  readonly #visit: Visit;
  readonly #lastSent: LastSent;
  #tabs: Tabs | null = null;
  #consent: boolean;
  #fault: WireError | null = null;
  /** Events of this page, for a storage that already has a session. */
  #pageEvents: TrackedEvent[] = [];

  constructor(options: RecommenderOptions, settings: OpenSettings, host: PersonalDataHost) {
    this.#host = host;
    const { profile, userId = null } = options;
    // Addresses have no spaces: this is one name per server and profile.
    this.#scope = profile === undefined ? settings.server : `${settings.server} ${profile}`;
    this.#consent = settings.consent;
    this.#visit = new Visit(this.#scope, userId, settings.consent);
    this.#lastSent = new LastSent(this.#scope);
    this.#lasting = () => options.storage ?? new IndexedDbStorage(this.#scope);
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
            lastSent: () => (this.storage === 'device' ? this.#lastSent : null),
            session: () => this.#visit.name,
            send: (path, body, why) => host.call({ type: 'send', path, body, why }),
            sendLast: (path, body, why) => host.sendLast(path, body, why),
            refused: (error) => host.error(error),
          })
        : null;
    this.outbox?.suspend(this.#visit.withdrawn);
  }

  get consent(): boolean {
    return this.#consent;
  }

  /** Where the session is stored now. */
  get storage(): 'memory' | 'device' {
    return this.journal.storage instanceof MemoryStorage ? 'memory' : 'device';
  }

  /** The name under which events are logged; `null` if there is none yet. */
  get visitor(): string | null {
    return this.outbox === null ? null : this.#visit.given;
  }

  /** Why the storage failed; `null` if it did not. */
  get fault(): WireError | null {
    return this.#fault;
  }

  /**
   * Tracks an event; resolves once it is in the journal. The event is queued for the server
   * before anything else, because the page may be left by this very click. The server also logs
   * items that this device does not know: it may have a newer catalogue.
   */
  async track(event: TrackedEvent, attribution: Attribution = {}): Promise<Update> {
    const queued = this.outbox?.add(event, attribution);
    if (this.journal.busy) await this.journal.idle();
    if (!this.#host.ready()) {
      return (await this.#host.call({ type: 'recommend', waitMs: 0 })).update;
    }
    const id = this.journal.nextId();
    const safe = this.journal.record(id, event);
    try {
      const [update] = await Promise.all([this.#host.call({ type: 'track', event, id }), safe]);
      this.#remember(event);
      await queued;
      return update;
    } catch (error) {
      // Refused. After the end of the worker or the recommender it stays in the journal.
      if (this.#host.ready()) await this.journal.forget(id);
      await queued;
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
      this.outbox?.removeNewest(event);
    }
    return undone;
  }

  async reset(): Promise<void> {
    await this.journal.replace(async () => {
      await this.#host.call({ type: 'reset' });
      return { value: null, snapshot: null };
    });
    this.outbox?.forget();
    this.#visit.forget();
    this.#lastSent.forget();
    this.#pageEvents = [];
  }

  /** The session with the name under which its events are logged. */
  async export(): Promise<Uint8Array> {
    const session = await this.#host.call({ type: 'export' });
    return this.visitor === null ? session : withVisitor(session, this.visitor);
  }

  async import(bytes: Uint8Array): Promise<void> {
    await this.journal.replace(async () => {
      await this.#host.call({ type: 'import', bytes }).catch((error: TandemError) => {
        throw asImportError(error, bytes);
      });
      return { value: null, snapshot: await this.#host.call({ type: 'export' }) };
    });
  }

  /** Grants or withdraws the consent to storage on this device. */
  async setConsent(granted: boolean): Promise<void> {
    if (granted) {
      this.#consent = true;
      this.#visit.setConsent(true);
      this.#host.consentChanged(true);
      this.#fault = null;
      this.outbox?.suspend(false);
      await this.journal.moveTo(this.#lasting(), this.#pageEvents, true);
      this.#pageEvents = [];
      this.joinTabs();
    } else if (this.#consent) {
      this.#tabs?.post('erased');
      await this.#goToMemory();
    } else {
      // Nothing is stored, but events may be queued.
      this.#visit.setConsent(false);
      this.outbox?.forget();
      this.outbox?.suspend(true);
    }
    await this.#host.call({ type: 'setConsent', granted });
  }

  /** Shares the stored session with the other tabs. */
  joinTabs(): void {
    if (!this.#host.ready()) return;
    this.#tabs ??= new Tabs(
      this.#scope,
      () => {
        // A page that comes back from the back/forward cache has missed a withdrawal.
        if (this.#visit.withdrawn) this.#withdrawnElsewhere();
        else this.journal.sync().catch((error: TandemError) => this.#host.error(error));
      },
      () => this.#withdrawnElsewhere(),
    );
  }

  close(): void {
    this.#tabs?.close();
    this.outbox?.close();
  }

  /** The visitor withdrew the consent in another tab or on another page of this one. */
  #withdrawnElsewhere(): void {
    void this.#goToMemory().catch(() => undefined);
    this.#host.call({ type: 'setConsent', granted: false }).catch(() => undefined);
  }

  /** The consent was withdrawn. */
  #goToMemory(): Promise<void> {
    this.#consent = false;
    this.#visit.setConsent(false);
    this.#lastSent.forget();
    this.#host.consentChanged(false);
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

/** The error of an import. The session's own message for a foreign file is that of a JSON parser. */
function asImportError(error: TandemError, bytes: Uint8Array): TandemError {
  if (error.code !== 'invalid_artifact' || isExport(bytes)) return error;
  const text =
    'this file is no export of @tandem-rec/client, or only a part of one: expected the bytes of ' +
    'exportPersonalData(); choose the exported file, or export it again. The session is unchanged';
  return errorFrom(wireError(error.code, text));
}

/** Whether the bytes are JSON with the fields that every export has. */
function isExport(bytes: Uint8Array): boolean {
  try {
    const content: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof content !== 'object' || content === null) return false;
    return ['version', 'catalogue_hash', 'history', 'delta'].every((name) => name in content);
  } catch {
    return false;
  }
}

/** A session, which is a JSON object, with one more field. Parsing it would double its memory. */
function withVisitor(session: Uint8Array, visitor: string): Uint8Array {
  const field = new TextEncoder().encode(`{"visitor":${JSON.stringify(visitor)},`);
  const joined = new Uint8Array(field.length + session.length - 1);
  joined.set(field);
  joined.set(session.subarray(1), field.length);
  return joined;
}
