import {
  createRecommender,
  type DeliveredUpdate,
  type Device,
  type LearnReport,
  type RecommenderOptions,
  type Update,
} from '@tandem-rec/client';
import { announce, described } from './announcements.ts';
import { loadCatalogue, loadStatus } from './catalogue.ts';
import { withClick, withLearning, withoutAnswer, withRequest } from './clicks.ts';
import { CloudOnly } from './cloud-only.ts';
import { Reachability } from './reachability.ts';
import { strongestReasons } from './reasons.ts';
import type { ShopRecommender } from './recommender.ts';
import { joined, nothingSent, type Sent } from './sent-log.ts';
import { differs, shelfOf, waitsForVisitor } from './shelf.ts';
import {
  initialState,
  type LoggedDecision,
  newSession,
  type Settings,
  type ShopState,
} from './shop-state.ts';
import { withCall, withExchange } from './traffic.ts';
import type { VisitorChoices } from './visitor-choices.ts';
import { type Exchange, Wire } from './wire.ts';

export type { ShopRecommender } from './recommender.ts';
export type { LoggedDecision, ShopState } from './shop-state.ts';

type CreateRecommender = (options: RecommenderOptions) => Promise<ShopRecommender>;

/** Maximum number of decisions, learning steps and clicks in the state. */
const MAX_LOGGED = 200;
/** Films of the cloud-only list. */
const CLOUD_K = 12;
/** Films of the shelf whose reasons are computed. */
const EXPLAINED = 12;

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
  readonly #choices: VisitorChoices | null;
  readonly #wire: Wire;
  readonly #reachability: Reachability;
  readonly #cloud: CloudOnly;
  #state: ShopState = initialState;
  #recommender: ShopRecommender | null = null;
  /** Aborts loading that is still in progress when `open` is called again. */
  #opening = new AbortController();
  /** Number of the newest shelf, so that reasons of an older one are dropped. */
  #shelfNumber = 0;
  /** What recommenders sent that are disposed of. */
  #sentBefore = nothingSent;
  /** Time of the last click, in milliseconds of `performance.now()`. */
  #clickedAt = 0;
  /** Called with every event; used by the probe for browser tests. */
  onEvent: (event: ShopEvent) => void = () => {};

  constructor(
    server: string,
    render: (state: ShopState) => void,
    create: CreateRecommender = createRecommender,
    choices: VisitorChoices | null = null,
    send: typeof fetch = (...request) => fetch(...request),
  ) {
    this.#reachability = new Reachability({
      send,
      address: `${server}v1/status`,
      mayAsk: () => this.#state.update?.connection.state !== 'offline',
      onResult: (reached) => this.#reached(reached),
    });
    this.#wire = new Wire(this.#reachability.fetch);
    this.#server = server;
    this.#render = render;
    this.#create = create;
    this.#choices = choices;
    this.#wire.onRequest = () => this.#countRequest();
    this.#wire.onExchange = (exchange) => this.#countExchange(exchange);
    this.#cloud = new CloudOnly(
      server,
      this.#wire,
      () => this.#state.cloud,
      (changes) => this.#set({ cloud: { ...this.#state.cloud, ...changes } }),
    );
  }

  get recommender(): ShopRecommender | null {
    return this.#recommender;
  }

  /** Everything that was sent since the page was opened. */
  async sent(): Promise<Sent> {
    const own = await this.#recommender?.ledger().catch(() => null);
    const known = own ?? (this.#sentBefore.entries.length === 0 ? null : nothingSent);
    return {
      tandem: known === null ? null : joined(this.#sentBefore, known),
      comparison: this.#cloud.sent.read(),
    };
  }

  /** Loads the catalogue and creates the recommender; called again after a failure. */
  async open(device: Device = 'cpu'): Promise<void> {
    const { model, comparing, delayMs, settings } = this.#state;
    const consent = this.#choices?.consent ?? false;
    this.#set({ ...initialState, device, model, comparing, delayMs, settings, consent });
    this.#opening.abort();
    this.#opening = new AbortController();
    const { signal } = this.#opening;
    try {
      await Promise.all([
        loadCatalogue(this.#server, signal, (address) => this.#wire.share(address, signal)).then(
          (catalogue) => this.#set({ catalogue }),
        ),
        this.#openRecommender(device),
        loadStatus(this.#server, signal, (address) =>
          this.#reachability.fetch(address, { signal }),
        ).then(
          (status) => this.#set({ status }),
          () => undefined,
        ),
      ]);
      this.#set({ phase: 'ready' });
      void this.#loadModels();
      // Ranks again now that the page can display films; requests a first list if there is none.
      await this.#recommender?.recommend().then((update) => this.#take(update, true));
      this.#compare();
      await this.#trackQueued();
    } catch (error) {
      if (signal.aborted) return;
      // Cancels the requests that are still running.
      this.#opening.abort();
      this.#closeRecommender();
      this.#set({ phase: 'failed', failure: described(error), progress: null });
    }
  }

  /** Switches to another device in a new worker; see {@link #replace}. */
  async switchDevice(device: Device): Promise<void> {
    if (device === this.#state.device) return;
    await this.#replace({ device, announcement: 'The compute backend was not changed.' });
  }

  /** Changes settings of the recommender, in a new worker; see {@link #replace}. */
  async changeSettings(changes: Partial<Settings>): Promise<void> {
    const before = this.#state.settings;
    this.#set({ settings: { ...before, ...changes } });
    const changed = await this.#replace({ announcement: 'The settings were not changed.' });
    if (!changed) this.#set({ settings: before });
  }

  /** Counts a click on a film; before the small model is there, the click waits for it. */
  async watch(item: string): Promise<void> {
    const { queued, leaving, phase, update } = this.#state;
    // A second click on a film that has been clicked already.
    if (queued.includes(item) || leaving.includes(item) || update?.history.at(-1) === item) return;
    if (phase === 'loading') {
      this.#set({ queued: [...queued, item] });
      return;
    }
    await this.#track('click', item);
  }

  async dislike(item: string): Promise<void> {
    if (this.#state.phase !== 'ready' || this.#state.leaving.includes(item)) return;
    this.#set({ disliked: [...this.#state.disliked, item] });
    await this.#track('dislike', item);
  }

  async setOffline(offline: boolean): Promise<void> {
    await this.#attempt((recommender) => recommender.setOffline(offline));
    if (offline) this.#cloud.offline();
    else this.#compare();
  }

  /** Asks the server whether it answers: the network has changed. */
  async checkServer(): Promise<void> {
    await this.#reachability.check();
  }

  setDelay(ms: number): void {
    this.#wire.delayMs = ms;
    this.#set({ delayMs: ms });
  }

  setComparing(comparing: boolean): void {
    this.#set({ comparing });
    if (comparing) this.#compare();
  }

  /** Shows the newest ranking, which the visitor asked for. */
  showNewList(): void {
    const { update } = this.#state;
    if (update !== null) this.#settle(update);
  }

  /** Undoes the last click or dislike. */
  async undo(): Promise<void> {
    await this.#attempt(async (recommender) => {
      const event = await recommender.undo();
      const title = this.#state.catalogue?.films.get(event?.item ?? '')?.title ?? event?.item;
      this.#set({
        disliked: this.#state.disliked.filter((item) => item !== event?.item),
        announcement: event === null ? 'Nothing to undo.' : `Undone: ${title}.`,
      });
    });
    this.#compare();
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
    this.#set(newSession);
    await this.#attempt((recommender) => recommender.reset());
    this.#set({ announcement: 'History cleared.' });
    this.#compare();
  }

  /** Takes away the message of the last error. */
  dismissError(): void {
    if (this.#state.backgroundError !== null) this.#set({ backgroundError: null });
  }

  async setConsent(granted: boolean): Promise<void> {
    await this.#attempt(async (recommender) => {
      await recommender.setConsent(granted);
      this.#choices?.setConsent(granted);
      this.#set({ consent: granted });
    });
  }

  /** Replaces the session by an exported one. */
  async importData(bytes: Uint8Array): Promise<void> {
    await this.#attempt(async (recommender) => {
      await recommender.importPersonalData(bytes);
      // Not after a refused file: the session is the same.
      this.#compare();
    });
  }

  /** Loads the names of the language models; the list stays empty if the request fails. */
  async #loadModels(): Promise<void> {
    const models = await this.#recommender?.models().catch(() => []);
    this.#set({ models: models ?? [] });
  }

  async #track(type: 'click' | 'dislike', item: string): Promise<void> {
    this.#clickedAt = performance.now();
    this.#set({ leaving: [...this.#state.leaving, item] });
    await this.#attempt((recommender) => recommender.track({ type, item }));
    this.#set({ leaving: this.#state.leaving.filter((other) => other !== item) });
    this.#compare(true);
  }

  async #trackQueued(): Promise<void> {
    for (const item of this.#state.queued) await this.#track('click', item);
    this.#set({ queued: [] });
  }

  /** Requests what a shop without a device model would request now. */
  #compare(followsClick = false): void {
    const { comparing, update, disliked, model, phase } = this.#state;
    if (!comparing || phase !== 'ready' || update === null) return;
    if (update.connection.state === 'offline') this.#cloud.offline();
    else {
      const request = { model, k: CLOUD_K, followsClick };
      void this.#cloud.request(update.history, disliked, request).then((failed) => {
        if (failed && followsClick) this.#set({ clicks: withoutAnswer(this.#state.clicks) });
      });
    }
  }

  #reached(reached: boolean): void {
    const { reached: before, cloud } = this.#state;
    if (reached !== before) this.#set({ reached });
    // The package tries again by itself, the other side only at a click.
    const failed = cloud.problem === 'failing' && cloud.waitingSince === null;
    if (reached && before === false && failed) this.#compare();
  }

  /**
   * Creates a recommender with other settings and transfers the session. The old worker is
   * disposed of last: if the new one cannot be created, the shop keeps the old one and reports
   * the error. Resolves with whether the new one is in use.
   */
  async #replace({
    device = this.#state.device,
    announcement,
  }: {
    device?: Device;
    announcement: string;
  }): Promise<boolean> {
    const before = this.#recommender;
    if (before === null || this.#state.switching) return false;
    this.#set({ switching: true });
    try {
      await this.#openRecommender(device, before);
      return true;
    } catch (error) {
      if (before.state().status === 'failed') {
        // The old recommender has failed too.
        this.#closeRecommender();
        this.#set({ phase: 'failed', failure: described(error) });
      } else {
        this.#report(error);
        this.#set({ announcement });
      }
      return false;
    } finally {
      this.#set({ switching: false });
    }
  }

  /** Creates a recommender; with `before`, transfers its session and disposes of it. */
  async #openRecommender(device: Device, before?: ShopRecommender): Promise<void> {
    const started = performance.now();
    const { model, settings, consent } = this.#state;
    this.#wire.changes = settings;
    const { callsPerMinute, search } = settings;
    const recommender = await this.#create({
      server: this.#server,
      device,
      search,
      consent,
      fetch: this.#wire.fetch,
      ...(model === null ? {} : { model }),
      ...(callsPerMinute === null ? {} : { budget: budgetOf(callsPerMinute) }),
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
    if (before !== undefined) await this.#keepSent(before);
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
      // Learning is switched off by rates of zero: such a step changes nothing.
      if (!this.#state.settings.learning) return;
      this.#set({
        steps: [...this.#state.steps, report].slice(-MAX_LOGGED),
        clicks: withLearning(this.#state.clicks, report.ms),
      });
      this.onEvent({ name: 'learn', payload: report });
    });
    recommender.on('error', (error) => this.#report(error));
  }

  /** Keeps what a recommender has sent, before it is disposed of. */
  async #keepSent(recommender: ShopRecommender): Promise<void> {
    const ledger = await recommender.ledger().catch(() => nothingSent);
    this.#sentBefore = joined(this.#sentBefore, ledger);
  }

  #closeRecommender(): void {
    this.#recommender?.dispose();
    this.#recommender = null;
  }

  #receive(update: DeliveredUpdate): void {
    // A session from a file: both sides count from here. A switch of the device goes on counting.
    if (update.cause === 'import' && !this.#state.switching) this.#set(newSession);
    if (update.cause === 'event') {
      this.#log(update);
      const shownMs = performance.now() - this.#clickedAt;
      this.#set({ clicks: withClick(this.#state.clicks, update, shownMs) });
    }
    this.#take(update, !waitsForVisitor(update.cause, this.#state.shelf));
    this.#set({ announcement: announce(update), backgroundError: null });
    this.onEvent({ name: 'update', payload: update });
  }

  /** `settle`: whether the shelf shows the update at once. */
  #take(update: Update, settle: boolean): void {
    if (this.#state.decisions.length === 0 && update.decision.action === 'request') {
      this.#log(update);
    }
    this.#set({ update });
    if (settle) this.#settle(update);
    // A request that failed brought no list, though learning may have changed the order.
    else if (update.connection.state !== 'failing') {
      this.#set({ newList: differs(update, this.#state.shelf) });
    }
  }

  #settle(update: Update): void {
    this.#set({ shelf: shelfOf(update), newList: false });
    this.#shelfNumber += 1;
    void this.#explain(this.#shelfNumber);
  }

  /** Computes why the films of the shelf are on it, after the page has been painted. */
  async #explain(shelfNumber: number): Promise<void> {
    const reasons = new Map<string, readonly string[]>();
    const { shelf, update } = this.#state;
    if (update !== null && update.history.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      for (const { item } of shelf.slice(0, EXPLAINED)) {
        if (shelfNumber !== this.#shelfNumber || this.#recommender === null) return;
        const explanation = await this.#recommender.explain(item).catch(() => null);
        reasons.set(item, strongestReasons(explanation));
      }
    }
    if (shelfNumber === this.#shelfNumber) this.#set({ reasons });
  }

  #log({ decision, stats }: Update): void {
    const logged = { ...decision, click: stats.clicks };
    this.#set({ decision, decisions: [...this.#state.decisions, logged].slice(-MAX_LOGGED) });
    this.onEvent({ name: 'decision', payload: logged });
  }

  /** Counts a request of the package for a list. */
  #countRequest(): void {
    this.#set({ traffic: withCall(this.#state.traffic) });
  }

  #countExchange(exchange: Exchange): void {
    const { traffic, clicks } = this.#state;
    this.#set({
      traffic: withExchange(traffic, exchange),
      clicks: exchange.status === null ? clicks : withRequest(clicks, exchange.ms),
    });
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

/** A call budget that allows a burst of at most three lists. */
function budgetOf(callsPerMinute: number): { burst: number; perMinute: number } {
  return { burst: callsPerMinute < 3 ? 1 : 3, perMinute: callsPerMinute };
}
