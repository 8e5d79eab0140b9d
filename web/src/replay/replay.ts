import { createRecommender } from '@tandem-rec/client';
import {
  nextVisitor,
  noScore,
  placeOf,
  type Score,
  SYSTEMS,
  type SystemName,
  withPlace,
} from './scores.ts';
import { CloudList, type CreateRecommender, OnDevice, Popularity, type System } from './systems.ts';

/** A visitor of the log: clicks before the replay, and the replayed ones. Oldest first. */
export interface HeldOutVisitor {
  history: readonly string[];
  clicks: readonly string[];
}

export interface ReplayState {
  phase: 'idle' | 'opening' | 'running' | 'failed';
  /** Number of the visitor, from 0; `null` before the first one. */
  visitor: number | null;
  /** Visitors in the file; 0 before it is loaded. */
  visitors: number;
  /** Clicks before the replay. */
  before: number;
  /** Clicks that are replayed, and the one that is being replayed. */
  clicks: number;
  clicked: string | null;
  /** Visitors replayed to the end. */
  finished: number;
  /** Visitors with a click in the scores. */
  counted: number;
  scores: Readonly<Record<SystemName, Score>>;
  failure: string | null;
}

export const idle: ReplayState = {
  phase: 'idle',
  visitor: null,
  visitors: 0,
  before: 0,
  clicks: 0,
  clicked: null,
  finished: 0,
  counted: 0,
  scores: { popularity: noScore, cloud: noScore, small: noScore, tandem: noScore },
  failure: null,
};

/** Milliseconds between the clicks of one visitor, so that they can be followed. */
const PACE_MS = 600;

/** Replays visitors of the log with all systems at once and counts their hits. */
export class Replay {
  readonly #server: string;
  readonly #address: string;
  readonly #popular: readonly string[];
  readonly #changed: (state: ReplayState) => void;
  readonly #create: CreateRecommender;
  #visitors: readonly HeldOutVisitor[] = [];
  #state = idle;
  #run: AbortController | null = null;

  /** `address`: of the file of visitors. `popular`: most popular items first. */
  constructor(
    server: string,
    address: string,
    popular: readonly string[],
    changed: (state: ReplayState) => void,
    create: CreateRecommender = createRecommender,
  ) {
    this.#server = server;
    this.#address = address;
    this.#popular = popular;
    this.#changed = changed;
    this.#create = create;
  }

  /** Replays the next visitor; with `all`, every visitor that is left, without pauses. */
  async start(all: boolean): Promise<void> {
    this.stop();
    const run = new AbortController();
    this.#run = run;
    this.#set({ phase: 'opening', failure: null });
    try {
      await this.#load(run.signal);
      do {
        await this.#visit(((this.#state.visitor ?? -1) + 1) % this.#visitors.length, all, run);
      } while (all && !run.signal.aborted && this.#state.finished < this.#visitors.length);
      if (!run.signal.aborted) this.#set({ phase: 'idle' });
    } catch (error) {
      if (run.signal.aborted) return;
      const failure = error instanceof Error ? error.message : String(error);
      this.#set({ phase: 'failed', failure });
    }
  }

  /** Ends the replay; what was counted stays. */
  stop(): void {
    this.#run?.abort();
    this.#run = null;
    if (this.#state.phase !== 'idle') this.#set({ phase: 'idle' });
  }

  async #load(signal: AbortSignal): Promise<void> {
    if (this.#visitors.length > 0) return;
    const response = await fetch(this.#address, { signal });
    if (!response.ok) throw new Error(`${this.#address}: HTTP status ${response.status}`);
    this.#visitors = (await response.json()) as HeldOutVisitor[];
    if (this.#visitors.length === 0) throw new Error(`${this.#address}: no visitors`);
    this.#set({ visitors: this.#visitors.length });
  }

  async #visit(number: number, fast: boolean, { signal }: AbortController): Promise<void> {
    const visitor = this.#visitors[number];
    if (visitor === undefined) return;
    const { scores } = this.#state;
    this.#set({
      phase: 'opening',
      visitor: number,
      before: visitor.history.length,
      clicks: visitor.clicks.length,
      clicked: null,
      scores: mapScores(scores, (_, score) => nextVisitor(score)),
    });
    const systems = await this.#open(visitor.history, signal);
    try {
      this.#set({ phase: 'running' });
      for (const item of visitor.clicks) {
        await this.#click(systems, item, signal);
        if (!fast) await pause(PACE_MS, signal);
        signal.throwIfAborted();
      }
      this.#set({ finished: this.#state.finished + 1 });
    } finally {
      for (const system of Object.values(systems)) system.close();
    }
  }

  async #open(
    history: readonly string[],
    signal: AbortSignal,
  ): Promise<Record<SystemName, System>> {
    const options = { server: this.#server, signal };
    const [small, tandem] = await Promise.all([
      OnDevice.open(this.#create, options, history, true),
      OnDevice.open(this.#create, options, history, false),
    ]);
    return {
      popularity: new Popularity(this.#popular, history),
      cloud: new CloudList(this.#server, history, signal),
      small,
      tandem,
    };
  }

  /** Ranks with every system before it knows the click, then tells it. */
  async #click(
    systems: Record<SystemName, System>,
    item: string,
    signal: AbortSignal,
  ): Promise<void> {
    const lists = await Promise.all(SYSTEMS.map((name) => systems[name].top()));
    const places = new Map(SYSTEMS.map((name, at) => [name, placeOf(lists[at] ?? [], item)]));
    await Promise.all(SYSTEMS.map((name) => systems[name].click(item)));
    signal.throwIfAborted();
    const { clicked, counted } = this.#state;
    this.#set({
      clicked: item,
      counted: clicked === null ? counted + 1 : counted,
      scores: mapScores(this.#state.scores, (name, score) => {
        const before = this.#callsBefore.get(systems[name]) ?? 0;
        this.#callsBefore.set(systems[name], systems[name].calls);
        return withPlace(score, places.get(name) ?? null, systems[name].calls - before);
      }),
    });
  }

  /** Calls that are counted already. */
  readonly #callsBefore = new WeakMap<System, number>();

  #set(changes: Partial<ReplayState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#changed(this.#state);
  }
}

function mapScores(
  scores: Readonly<Record<SystemName, Score>>,
  change: (name: SystemName, score: Score) => Score,
): Record<SystemName, Score> {
  const { popularity, cloud, small, tandem } = scores;
  return {
    popularity: change('popularity', popularity),
    cloud: change('cloud', cloud),
    small: change('small', small),
    tandem: change('tandem', tandem),
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
