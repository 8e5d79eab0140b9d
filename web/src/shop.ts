import {
  createRecommender,
  type Decision,
  type DeliveredUpdate,
  type Device,
  type HostedModel,
  type LearnReport,
  type Progress,
  type Recommender,
  TandemError,
  type Update,
} from '@tandem-rec/client';
import { type Catalogue, loadCatalogue, loadStatus, type ServiceStatus } from './catalogue.ts';

/** A decision with the click it was made at (0: before the first). */
export interface LoggedDecision extends Decision {
  click: number;
}

/** Everything the page shows. Replaced as a whole at every change, never mutated. */
export interface ShopState {
  phase: 'loading' | 'ready' | 'failed';
  progress: Progress | null;
  failure: { code: string; message: string } | null;
  catalogue: Catalogue | null;
  status: ServiceStatus | null;
  update: Update | null;
  device: Device;
  /** Why the device is not the one that was asked for. */
  deviceNote: string | null;
  switching: boolean;
  /** The server's language models; empty until they are known. */
  models: readonly HostedModel[];
  /** The one that was chosen; `null`: the server's first. */
  model: string | null;
  /** The last decision that came of something the visitor did. */
  decision: Decision | null;
  decisions: readonly LoggedDecision[];
  steps: readonly LearnReport[];
  /** A sentence about the last thing that went wrong in the background. */
  trouble: string | null;
  /** What the last change was, for screen readers. */
  announcement: string;
}

/** How many decisions and learning steps are kept for showing. */
const KEPT = 200;

const start: ShopState = {
  phase: 'loading',
  progress: null,
  failure: null,
  catalogue: null,
  status: null,
  update: null,
  device: 'cpu',
  deviceNote: null,
  switching: false,
  models: [],
  model: null,
  decision: null,
  decisions: [],
  steps: [],
  trouble: null,
  announcement: '',
};

/** What happened in the shop, in order; see {@link Shop.onEvent}. */
export type ShopEvent =
  | { name: 'ready'; payload: { device: Device; ms: number } }
  | { name: 'update'; payload: DeliveredUpdate }
  | { name: 'decision'; payload: LoggedDecision }
  | { name: 'learn'; payload: LearnReport }
  | { name: 'error'; payload: { code: string; message: string } };

/** The shop: one recommender at a time, and the state that the page shows of it. */
export class Shop {
  readonly #server: string;
  readonly #render: (state: ShopState) => void;
  #state: ShopState = start;
  #recommender: Recommender | null = null;
  /** Aborts whatever is being opened when something else is to be opened instead. */
  #opening = new AbortController();
  /** Told everything that happens; used by the probe for browser tests. */
  onEvent: (event: ShopEvent) => void = () => {};

  constructor(server: string, render: (state: ShopState) => void) {
    this.#server = server;
    this.#render = render;
  }

  get recommender(): Recommender | null {
    return this.#recommender;
  }

  /** Opens the shop, or opens it again after a failure. */
  async open(device: Device = 'cpu'): Promise<void> {
    this.#set({ ...start, device, model: this.#state.model });
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    try {
      const [catalogue] = await Promise.all([
        loadCatalogue(this.#server, signal),
        this.#openRecommender(device),
        loadStatus(this.#server, signal).then(
          (status) => this.#set({ status }),
          () => undefined,
        ),
      ]);
      this.#set({ phase: 'ready', catalogue });
      void this.#loadModels();
      // Ranks once more, now that it can be shown; asks for a first list if there is none.
      await this.#recommender?.recommend().then((update) => this.#take(update));
    } catch (error) {
      if (signal.aborted) return;
      // Also ends what is still being opened.
      this.#opening.abort();
      this.#closeRecommender();
      this.#set({ phase: 'failed', failure: described(error), progress: null });
    }
  }

  /**
   * Goes on in another worker, with the session carried over. The old one ends last: if the
   * new one cannot be had, the shop stays with it and says so.
   */
  async switchDevice(device: Device): Promise<void> {
    const before = this.#recommender;
    if (before === null || this.#state.switching || device === this.#state.device) return;
    this.#set({ switching: true });
    try {
      await this.#openRecommender(device, before);
    } catch (error) {
      if (before.state().status === 'failed') {
        // There is nothing left to stay with.
        this.#closeRecommender();
        this.#set({ phase: 'failed', failure: described(error) });
      } else {
        this.#report(error);
        this.#set({ announcement: 'The device was not changed.' });
      }
    } finally {
      this.#set({ switching: false });
    }
  }

  watch(item: string): Promise<void> {
    return this.#attempt((recommender) => recommender.track({ type: 'click', item }));
  }

  dislike(item: string): Promise<void> {
    return this.#attempt((recommender) => recommender.track({ type: 'dislike', item }));
  }

  setOffline(offline: boolean): Promise<void> {
    return this.#attempt((recommender) => recommender.setOffline(offline));
  }

  /** Takes the last click, or what was not wanted, back. */
  async undo(): Promise<void> {
    await this.#attempt(async (recommender) => {
      const event = await recommender.undo();
      const title = this.#state.catalogue?.films.get(event?.item ?? '')?.title ?? event?.item;
      this.#set({
        announcement: event === null ? 'Nothing to take back.' : `Taken back: ${title}.`,
      });
    });
  }

  /** Another of the server's language models makes the lists from now on. */
  async chooseModel(name: string): Promise<void> {
    const before = this.#state.model;
    this.#set({ model: name });
    await this.#attempt(async (recommender) => {
      try {
        await recommender.useModel(name);
      } catch (error) {
        this.#set({ model: before });
        throw error;
      }
    });
  }

  async reset(): Promise<void> {
    this.#set({ decision: null, decisions: [], steps: [] });
    await this.#attempt((recommender) => recommender.reset());
    this.#set({ announcement: 'The session is forgotten.' });
  }

  /** Which language models there are; a server that does not say has one. */
  async #loadModels(): Promise<void> {
    const models = await this.#recommender?.models().catch(() => []);
    this.#set({ models: models ?? [] });
  }

  /** Opens a recommender; it takes the place of `before` and over its session, if given. */
  async #openRecommender(device: Device, before?: Recommender): Promise<void> {
    const started = performance.now();
    const { model } = this.#state;
    const recommender = await createRecommender({
      server: this.#server,
      device,
      ...(model === null ? {} : { model }),
      signal: this.#opening.signal,
      onProgress: (progress) => this.#set({ progress }),
    });
    try {
      if (before === undefined) this.#listen(recommender);
      else await this.#carryOver(before, recommender);
    } catch (error) {
      recommender.dispose();
      throw error;
    }
    this.#recommender = recommender;
    before?.dispose();
    const state = recommender.state();
    this.#set({ device: state.device, deviceNote: state.deviceFallback?.message ?? null });
    this.onEvent({
      name: 'ready',
      payload: { device: state.device, ms: performance.now() - started },
    });
  }

  async #carryOver(before: Recommender, recommender: Recommender): Promise<void> {
    // Before the import, which may ask the server; the empty session is not shown.
    if (before.state().connection.state === 'offline') await recommender.setOffline(true);
    const session = await before.exportPersonalData();
    this.#listen(recommender);
    await recommender.importPersonalData(session);
  }

  #listen(recommender: Recommender): void {
    recommender.on('update', (update) => this.#receive(update));
    recommender.on('learn', (report) => {
      this.#set({ steps: [...this.#state.steps, report].slice(-KEPT) });
      this.onEvent({ name: 'learn', payload: report });
    });
    recommender.on('error', (error) => this.#report(error));
  }

  #closeRecommender(): void {
    this.#recommender?.dispose();
    this.#recommender = null;
  }

  #receive(update: DeliveredUpdate): void {
    if (update.cause === 'event') this.#log(update);
    this.#take(update);
    this.#set({ announcement: announce(update), trouble: null });
    this.onEvent({ name: 'update', payload: update });
  }

  #take(update: Update): void {
    if (this.#state.decisions.length === 0 && update.decision.action === 'request') {
      this.#log(update);
    }
    this.#set({ update });
  }

  #log({ decision, stats }: Update): void {
    const logged = { ...decision, click: stats.clicks };
    this.#set({ decision, decisions: [...this.#state.decisions, logged].slice(-KEPT) });
    this.onEvent({ name: 'decision', payload: logged });
  }

  async #attempt(call: (recommender: Recommender) => Promise<unknown>): Promise<void> {
    if (this.#recommender === null) return;
    try {
      await call(this.#recommender);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const failure = described(error);
    // A call that lost its recommender to a device switch has nothing to tell.
    if (failure.code === 'disposed') return;
    this.#set({ trouble: failure.message });
    this.onEvent({ name: 'error', payload: failure });
  }

  #set(changes: Partial<ShopState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#render(this.#state);
  }
}

function described(error: unknown): { code: string; message: string } {
  if (error instanceof TandemError) return { code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'unreachable', message };
}

function announce({ cause, connection, decision, items }: DeliveredUpdate): string {
  switch (cause) {
    case 'request':
      return connection.state === 'online'
        ? `A new list of ${items.length} films has come from the cloud.`
        : `The cloud did not answer. ${items.length} films from the last list stay.`;
    case 'connection':
      return connection.state === 'offline' ? 'Offline.' : 'Online.';
    case 'event':
      return `List ranked again. ${decision.reason}.`;
    case 'restart':
      return 'The small model was started anew. Your session goes on.';
    case 'catalogue':
      return 'The shop has other films now. Your session goes on.';
    case 'model':
      return 'Another language model is asked.';
    case 'undo':
    case 'tab':
    case 'retry':
    case 'reset':
    case 'import':
      return '';
  }
}
