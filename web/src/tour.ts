import type { ShopState } from './shop.ts';

/** What a tour does with the shop. */
export interface TourActions {
  watch(item: string): void;
  setOffline(offline: boolean): void;
}

/** Films of the shelf that the tour clicks on slowly, by position. */
const SLOW = [0] as const;
/** Those that it then clicks on one after another. */
const QUICK = [2, 1, 0, 3, 1, 0, 2] as const;
/** Longest wait for an answer of either side, in milliseconds. */
const PATIENCE_MS = 4000;
const POLL_MS = 50;
/** How long each step can be read. */
const READ_MS = 1150;
/** Pause after each answer of the quick clicks. */
const QUICK_MS = 150;

const QUICKLY = 'More clicks: Tandem calls the cloud only when a new list is expected to help.';

/** Plays the story of the page: clicks that both sides answer, then a click without a network. */
export class Tour {
  readonly #actions: TourActions;
  readonly #state: () => ShopState | null;
  readonly #say: (text: string, running: boolean) => void;
  readonly #pause: (ms: number) => Promise<void>;
  /** Number of the running tour; an older one ends at its next step. */
  #current = 0;
  #running = false;

  constructor(
    actions: TourActions,
    state: () => ShopState | null,
    say: (text: string, running: boolean) => void,
    pause: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
  ) {
    this.#actions = actions;
    this.#state = state;
    this.#say = say;
    this.#pause = pause;
  }

  get running(): boolean {
    return this.#running;
  }

  /** Ends the tour and the airplane mode that it switched on. */
  stop(): void {
    if (!this.#running) return;
    this.#current += 1;
    this.#running = false;
    if (this.#isOffline()) this.#actions.setOffline(false);
    this.#say('', false);
  }

  /** Resolves when the tour has ended or was stopped. */
  async play(): Promise<void> {
    if (this.#running) return;
    this.#current += 1;
    const own = this.#current;
    this.#running = true;
    for (const step of this.#steps()) {
      await step();
      if (own !== this.#current) return;
    }
    this.#running = false;
    this.#say('Your turn: click any film.', false);
  }

  *#steps(): Generator<() => Promise<void>> {
    for (const position of SLOW) {
      yield () => this.#click(position, 'Tandem has its new list. The server is still working …');
      yield () => this.#answered(READ_MS / 2);
    }
    yield async () => this.#say(QUICKLY, true);
    for (const position of QUICK) {
      yield () => this.#watch(position);
      yield () => this.#answered(QUICK_MS);
    }
    yield () => this.#act('Now without a network.', () => this.#actions.setOffline(true));
    yield () => this.#click(0, 'Tandem still follows every click. The cloud-only list is stuck.');
    yield () => this.#pause(READ_MS);
    yield () => this.#act('The network is back.', () => this.#actions.setOffline(false));
  }

  async #act(text: string, act: () => void): Promise<void> {
    this.#say(text, true);
    act();
    await this.#pause(READ_MS);
  }

  /** Announces a click on the film at this position, makes it, and says what follows. */
  async #click(position: number, then: string): Promise<void> {
    const item = this.#state()?.shelf[position]?.item;
    if (item === undefined) return;
    const title = this.#state()?.catalogue?.films.get(item)?.title ?? item;
    this.#say(`A click on ${title}.`, true);
    await this.#pause(READ_MS / 2);
    await this.#watch(position);
    if (this.#running) this.#say(then, true);
  }

  /** Clicks on the film at this position and waits until the device has answered. */
  async #watch(position: number): Promise<void> {
    const state = this.#state();
    const item = state?.shelf[position]?.item;
    if (!this.#running || state === null || item === undefined) return;
    this.#actions.watch(item);
    await this.#until(({ clicks }) => clicks.length > state.clicks.length);
  }

  /** Waits until the cloud-only side has its list, and then for a moment. */
  async #answered(ms: number): Promise<void> {
    await this.#until(({ cloud }) => cloud.waitingSince === null);
    await this.#pause(ms);
  }

  async #until(condition: (state: ShopState) => boolean): Promise<void> {
    for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
      const state = this.#state();
      if (!this.#running || (state !== null && condition(state))) return;
      await this.#pause(POLL_MS);
    }
  }

  #isOffline(): boolean {
    return this.#state()?.update?.connection.state === 'offline';
  }
}
