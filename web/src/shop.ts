import {
  createRecommender,
  type Decision,
  type DeliveredUpdate,
  type Device,
  type HostedModel,
  type LearnReport,
  type Progress,
  type Recommender,
  type RecommenderOptions,
  TandemError,
  type Update,
} from '@tandem-rec/client';
import { type Catalogue, loadCatalogue, loadStatus, type ServiceStatus } from './catalogue.ts';

/** The methods of a recommender that the shop uses. */
export type ShopRecommender = Pick<
  Recommender,
  | 'dispose'
  | 'exportPersonalData'
  | 'importPersonalData'
  | 'models'
  | 'on'
  | 'reset'
  | 'setOffline'
  | 'state'
  | 'track'
  | 'undo'
  | 'useModel'
> & {
  recommend(): Promise<Update>;
};

type CreateRecommender = (options: RecommenderOptions) => Promise<ShopRecommender>;

/** A decision with the number of clicks at that time (0: before the first click). */
export interface LoggedDecision extends Decision {
  click: number;
}

/** State of the page. Replaced as a whole at every change, never mutated. */
export interface ShopState {
  phase: 'loading' | 'ready' | 'failed';
  progress: Progress | null;
  failure: { code: string; message: string } | null;
  catalogue: Catalogue | null;
  status: ServiceStatus | null;
  update: Update | null;
  device: Device;
  /** Why the requested device is not used; `null` if it is. */
  deviceNote: string | null;
  switching: boolean;
  /** Language models of the server; empty until loaded. */
  models: readonly HostedModel[];
  /** The selected language model; `null`: the server's default. */
  model: string | null;
  /** The last decision after an action of the visitor. */
  decision: Decision | null;
  decisions: readonly LoggedDecision[];
  steps: readonly LearnReport[];
  /** Message of the last background error. */
  backgroundError: string | null;
  /** Description of the last change, for screen readers. */
  announcement: string;
}

/** Maximum number of decisions and of learning steps in the state. */
const MAX_LOGGED = 200;

const initialState: ShopState = {
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
  backgroundError: null,
  announcement: '',
};

/** Events of the shop, reported through {@link Shop.onEvent}. */
export type ShopEvent =
  | { name: 'ready'; payload: { device: Device; ms: number } }
  | { name: 'update'; payload: DeliveredUpdate }
  | { name: 'decision'; payload: LoggedDecision }
  | { name: 'learn'; payload: LearnReport }
  | { name: 'error'; payload: { code: string; message: string } };

/** Holds one recommender at a time and the state that the page displays. */
export class Shop {
  readonly #server: string;
  readonly #render: (state: ShopState) => void;
  readonly #create: CreateRecommender;
  #state: ShopState = initialState;
  #recommender: ShopRecommender | null = null;
  /** Aborts loading that is still in progress when `open` is called again. */
  #opening = new AbortController();
  /** Called with every event; used by the probe for browser tests. */
  onEvent: (event: ShopEvent) => void = () => {};

  constructor(
    server: string,
    render: (state: ShopState) => void,
    create: CreateRecommender = createRecommender,
  ) {
    this.#server = server;
    this.#render = render;
    this.#create = create;
  }

  get recommender(): ShopRecommender | null {
    return this.#recommender;
  }

  /** Loads the catalogue and creates the recommender; called again after a failure. */
  async open(device: Device = 'cpu'): Promise<void> {
    this.#set({ ...initialState, device, model: this.#state.model });
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
      // Ranks again now that the page can display films; requests a first list if there is none.
      await this.#recommender?.recommend().then((update) => this.#take(update));
    } catch (error) {
      if (signal.aborted) return;
      // Cancels the requests that are still running.
      this.#opening.abort();
      this.#closeRecommender();
      this.#set({ phase: 'failed', failure: described(error), progress: null });
    }
  }

  /**
   * Switches to another device in a new worker and transfers the session. The old worker is
   * disposed of last: if the new one cannot be created, the shop keeps the old one and
   * reports the error.
   */
  async switchDevice(device: Device): Promise<void> {
    const before = this.#recommender;
    if (before === null || this.#state.switching || device === this.#state.device) return;
    this.#set({ switching: true });
    try {
      await this.#openRecommender(device, before);
    } catch (error) {
      if (before.state().status === 'failed') {
        // The old recommender has failed too.
        this.#closeRecommender();
        this.#set({ phase: 'failed', failure: described(error) });
      } else {
        this.#report(error);
        this.#set({ announcement: 'The compute backend was not changed.' });
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

  /** Undoes the last click or dislike. */
  async undo(): Promise<void> {
    await this.#attempt(async (recommender) => {
      const event = await recommender.undo();
      const title = this.#state.catalogue?.films.get(event?.item ?? '')?.title ?? event?.item;
      this.#set({
        announcement: event === null ? 'Nothing to undo.' : `Undone: ${title}.`,
      });
    });
  }

  /** Selects the language model that makes the lists. */
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
    this.#set({ announcement: 'History cleared.' });
  }

  /** Loads the names of the language models; the list stays empty if the request fails. */
  async #loadModels(): Promise<void> {
    const models = await this.#recommender?.models().catch(() => []);
    this.#set({ models: models ?? [] });
  }

  /** Creates a recommender; with `before`, transfers its session and disposes of it. */
  async #openRecommender(device: Device, before?: ShopRecommender): Promise<void> {
    const started = performance.now();
    const { model } = this.#state;
    const recommender = await this.#create({
      server: this.#server,
      device,
      ...(model === null ? {} : { model }),
      signal: this.#opening.signal,
      onProgress: (progress) => this.#set({ progress }),
    });
    try {
      if (before === undefined) this.#listen(recommender);
      else await this.#transferSession(before, recommender);
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

  async #transferSession(before: ShopRecommender, recommender: ShopRecommender): Promise<void> {
    // Before the import, which may send requests. The empty session is never rendered.
    if (before.state().connection.state === 'offline') await recommender.setOffline(true);
    const session = await before.exportPersonalData();
    this.#listen(recommender);
    await recommender.importPersonalData(session);
  }

  #listen(recommender: ShopRecommender): void {
    recommender.on('update', (update) => this.#receive(update));
    recommender.on('learn', (report) => {
      this.#set({ steps: [...this.#state.steps, report].slice(-MAX_LOGGED) });
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
    this.#set({ announcement: announce(update), backgroundError: null });
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
    this.#set({ decision, decisions: [...this.#state.decisions, logged].slice(-MAX_LOGGED) });
    this.onEvent({ name: 'decision', payload: logged });
  }

  async #attempt(call: (recommender: ShopRecommender) => Promise<unknown>): Promise<void> {
    if (this.#recommender === null) return;
    try {
      await call(this.#recommender);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const failure = described(error);
    // The recommender was replaced by a device switch during the call.
    if (failure.code === 'disposed') return;
    this.#set({ backgroundError: failure.message });
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
        ? `New list of ${items.length} films from the cloud.`
        : `The server did not respond. ${items.length} films of the last list remain.`;
    case 'connection':
      return connection.state === 'offline' ? 'Offline.' : 'Online.';
    case 'event':
      return `List re-ranked. ${decision.reason}.`;
    case 'restart':
      return 'The small model was restarted. Your history is kept.';
    case 'catalogue':
      return 'The catalogue has changed. Your history is kept.';
    case 'model':
      return 'Switched to another language model.';
    case 'undo':
    case 'search':
    case 'stock':
    case 'tab':
    case 'retry':
    case 'reset':
    case 'import':
      return '';
  }
}
