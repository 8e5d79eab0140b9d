import type { DeliveredUpdate, Recommender, RecommenderOptions } from '@tandem-rec/client';
import { SHOWN } from './scores.ts';

/** Longest wait for a list that was requested, in milliseconds. */
const LIST_MS = 30_000;
/** Longest wait for the learning step after a click. */
const LEARN_MS = 1_000;

/** One way to recommend. It gets a history first, then clicks one by one. */
export interface System {
  /** Requests for lists so far. */
  readonly calls: number;
  /** The best items for the history so far, at most {@link SHOWN}. */
  top(): Promise<readonly string[]>;
  click(item: string): Promise<void>;
  close(): void;
}

/** The most popular items that the visitor has not had. */
export class Popularity implements System {
  readonly calls = 0;
  readonly #popular: readonly string[];
  readonly #had: Set<string>;

  constructor(popular: readonly string[], history: readonly string[]) {
    this.#popular = popular;
    this.#had = new Set(history);
  }

  async top(): Promise<readonly string[]> {
    return this.#popular.filter((item) => !this.#had.has(item)).slice(0, SHOWN);
  }

  async click(item: string): Promise<void> {
    this.#had.add(item);
  }

  close(): void {}
}

/** The language model's list in its own order, requested before every click. */
export class CloudList implements System {
  calls = 0;
  readonly #address: string;
  readonly #history: string[];
  readonly #signal: AbortSignal;

  constructor(server: string, history: readonly string[], signal: AbortSignal) {
    this.#address = `${server}v1/candidates`;
    this.#history = [...history];
    this.#signal = signal;
  }

  async top(): Promise<readonly string[]> {
    this.calls += 1;
    const response = await fetch(this.#address, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ history: this.#history, k: SHOWN }),
      signal: this.#signal,
    });
    if (!response.ok) throw new Error(`${this.#address}: HTTP status ${response.status}`);
    const { candidates } = (await response.json()) as { candidates: { item: string }[] };
    return candidates.map(({ item }) => item);
  }

  async click(item: string): Promise<void> {
    this.#history.push(item);
  }

  close(): void {}
}

/** The methods of a recommender that a replay uses. */
export type ReplayRecommender = Pick<
  Recommender,
  'dispose' | 'on' | 'recommend' | 'setOffline' | 'track'
>;
export type CreateRecommender = (options: RecommenderOptions) => Promise<ReplayRecommender>;

/** The package as a page uses it; `alone`: without the network, so that the small model ranks. */
export class OnDevice implements System {
  calls = 0;
  readonly #recommender: ReplayRecommender;

  private constructor(recommender: ReplayRecommender) {
    this.#recommender = recommender;
    recommender.on('update', ({ cause }) => {
      if (cause === 'request') this.calls += 1;
    });
  }

  /** Tracks the history without a network, then allows it unless the device is `alone`. */
  static async open(
    create: CreateRecommender,
    options: RecommenderOptions,
    history: readonly string[],
    alone: boolean,
  ): Promise<OnDevice> {
    const recommender = await create({ ...options, device: 'cpu', consent: false });
    const system = new OnDevice(recommender);
    try {
      await recommender.setOffline(true);
      for (const item of history) await recommender.track({ type: 'click', item });
      if (!alone) {
        const list = system.#next(({ cause }) => cause === 'request', LIST_MS);
        await recommender.setOffline(false);
        const { ranking } = await recommender.recommend({ k: SHOWN });
        if (ranking === null) await list;
      }
      return system;
    } catch (error) {
      recommender.dispose();
      throw error;
    }
  }

  async top(): Promise<readonly string[]> {
    const { items } = await this.#recommender.recommend({ k: SHOWN });
    return items.map(({ item }) => item);
  }

  /** Resolves when the device has learnt and a requested list is there: visitors take longer. */
  async click(item: string): Promise<void> {
    const learnt = new Promise<void>((resolve) => {
      const stop = this.#recommender.on('learn', () => {
        stop();
        resolve();
      });
      setTimeout(resolve, LEARN_MS);
    });
    const list = this.#next(({ cause }) => cause === 'request', LIST_MS);
    const { decision } = await this.#recommender.track({ type: 'click', item });
    await learnt;
    if (decision.action === 'request') await list;
  }

  close(): void {
    this.#recommender.dispose();
  }

  #next(wanted: (update: DeliveredUpdate) => boolean, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.#recommender.on('update', (update) => {
        if (!wanted(update)) return;
        stop();
        resolve();
      });
      setTimeout(resolve, ms);
    });
  }
}
