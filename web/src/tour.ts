import type { ShopState } from './shop.ts';

/** What a tour does with the shop. */
export interface TourActions {
  watch(item: string): void;
  setOffline(offline: boolean): void;
}

/** Films of the shelf that the tour clicks on, by position. */
const POSITIONS = [0, 2, 1] as const;
/** Longest wait for an answer of either side, in milliseconds. */
const PATIENCE_MS = 4000;
const POLL_MS = 50;
/** How long each step can be read. */
const READ_MS = 1300;

/** Plays the story of the page: clicks that both sides answer, then clicks without a network. */
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
    for (const position of POSITIONS) {
      yield () => this.#click(position, 'Tandem has its new list. The server is still working …');
      yield () => this.#answered();
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

  /** Clicks on the film at this position and waits until the device has answered. */
  async #click(position: number, then: string): Promise<void> {
    const before = this.#state()?.clicks.length ?? 0;
    const item = this.#state()?.shelf[position]?.item;
    if (item === undefined) return;
    const title = this.#state()?.catalogue?.films.get(item)?.title ?? item;
    this.#say(`A click on ${title}.`, true);
    await this.#pause(READ_MS / 2);
    if (!this.#running) return;
    this.#actions.watch(item);
    await this.#until((state) => state.clicks.length > before);
    if (this.#running) this.#say(then, true);
  }

  /** Waits until the cloud-only side has its list. */
  async #answered(): Promise<void> {
    await this.#until(({ cloud }) => cloud.waitingSince === null);
    await this.#pause(READ_MS / 2);
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
