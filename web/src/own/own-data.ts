import { type Sorted, sortFiles } from './files.ts';
import { type FileKind, type Helper, HelperError, type RunEvent } from './helper.ts';
import { type ReadReport, readReport } from './report.ts';

/** A step of the training. */
export interface Step {
  name: string;
  /** `null` while it runs. */
  seconds: number | null;
  /** Time of its begin, in milliseconds of `performance.now()`. */
  since: number;
  /** What the step last said about its progress. */
  note: string;
}

/** State of the page. Replaced as a whole at every change. */
export interface OwnState {
  phase: 'choosing' | 'sending' | 'training' | 'ready' | 'failed';
  files: Sorted;
  steps: readonly Step[];
  read: ReadReport | null;
  badRows: readonly string[];
  /** Number of bad rows; the page has the first ones only. */
  bad: number;
  /** Figures of `tandem quickstart`, as text. */
  quality: string | null;
  /** Address of the server of the trained shop. */
  server: string | null;
  failure: { code: string; message: string } | null;
}

export const noData: OwnState = {
  phase: 'choosing',
  files: { events: null, items: null },
  steps: [],
  read: null,
  badRows: [],
  bad: 0,
  quality: null,
  server: null,
  failure: null,
};

/** What a training has told, as a state; `now` in milliseconds of `performance.now()`. */
export function withEvent(state: OwnState, event: RunEvent, now: number): OwnState {
  const last = state.steps.at(-1);
  const changed = (changes: Partial<Step>): Step[] =>
    last === undefined ? [] : [...state.steps.slice(0, -1), { ...last, ...changes }];
  switch (event.type) {
    case 'step':
      return {
        ...state,
        phase: 'training',
        steps: [...state.steps, { name: event.name, seconds: null, since: now, note: '' }],
      };
    case 'done':
      return last?.name === event.name
        ? { ...state, steps: changed({ seconds: event.seconds, note: '' }) }
        : state;
    case 'progress':
      return { ...state, steps: changed({ note: event.text }) };
    case 'read':
      return {
        ...state,
        read: readReport(event.text),
        badRows: event.badRows,
        bad: event.bad,
      };
    case 'quality':
      return { ...state, quality: event.text };
    case 'ready': {
      const seconds = last === undefined ? 0 : (now - last.since) / 1_000;
      return { ...state, phase: 'ready', server: event.server, steps: changed({ seconds }) };
    }
    case 'failed':
      return { ...state, phase: 'failed', failure: { code: event.code, message: event.message } };
    case 'cancelled':
      return { ...noData, files: state.files };
  }
}

/** Sends the visitor's files to the local server and follows the training. */
export class OwnData {
  readonly #helper: Helper;
  readonly #render: (state: OwnState) => void;
  #state = noData;

  constructor(helper: Helper, render: (state: OwnState) => void) {
    this.#helper = helper;
    this.#render = render;
  }

  /** Shows the training that runs already, or the one that has ended; nothing without one. */
  async resume(): Promise<void> {
    this.#set({});
    await this.#guarded(() => this.#follow());
  }

  /** Files that were dropped together. */
  async drop(files: readonly File[]): Promise<void> {
    const { events, items } = await sortFiles(files);
    const before = this.#state.files;
    // One file of items completes what is there; a new file of events begins anew.
    this.#choose(events === null ? { events: before.events, items } : { events, items });
  }

  choose(kind: FileKind, file: File | null): void {
    this.#choose({ ...this.#state.files, [kind]: file });
  }

  /** Sends the files and trains. */
  async train(): Promise<void> {
    const { events, items } = this.#state.files;
    if (events === null) return;
    this.#set({ ...noData, files: this.#state.files, phase: 'sending' });
    await this.#guarded(async () => {
      await this.#helper.upload('events', events);
      if (items === null) await this.#helper.withoutItems();
      else await this.#helper.upload('items', items);
      await this.#helper.start();
      await this.#follow();
    });
  }

  async cancel(): Promise<void> {
    await this.#guarded(() => this.#helper.cancel());
  }

  async #follow(): Promise<void> {
    for await (const event of this.#helper.progress()) {
      this.#state = withEvent(this.#state, event, performance.now());
      this.#set({});
    }
    const { phase } = this.#state;
    if (phase === 'training' || phase === 'sending') {
      throw new HelperError(
        'unreachable',
        'The local server ended before the training did. Check that cargo xtask demo is running.',
      );
    }
  }

  #choose(files: Sorted): void {
    this.#set({ files, phase: 'choosing', failure: null });
  }

  async #guarded(call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } catch (error) {
      const code = error instanceof HelperError ? error.code : 'internal';
      const message = error instanceof Error ? error.message : String(error);
      this.#set({ phase: 'failed', failure: { code, message } });
    }
  }

  #set(changes: Partial<OwnState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#render(this.#state);
  }
}
