import { toWire } from '../shared/errors.js';
import type { Client } from './engine.js';
import type { Port } from './host.js';
import type { JobQueue } from './queue.js';

/** Shortest pause between two snapshots of a session, in milliseconds. */
export const SNAPSHOT_PAUSE_MS = 1_000;

/**
 * Learning, after the paint and never before it, and, once all is learnt, a snapshot of the
 * session for the page to keep.
 */
export class Learning {
  readonly #port: Port;
  readonly #queue: JobQueue;
  readonly #client: () => Client;
  /** Number of the last update sent, and of the last one seen on the screen. */
  #sent = 0;
  #painted = 0;
  /** A click has not been learnt from yet. */
  #owed = false;
  /** Number of the newest event that is in the session. */
  #through = 0;
  /** Something changed that no snapshot has. */
  #changed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastSnapshot = Number.NEGATIVE_INFINITY;

  constructor(port: Port, queue: JobQueue, client: () => Client) {
    this.#port = port;
    this.#queue = queue;
    this.#client = client;
  }

  /** The number for an update that is about to be sent. */
  nextSequence(): number {
    this.#sent += 1;
    return this.#sent;
  }

  /** An update has reached the screen. */
  painted(sequence: number): void {
    this.#painted = Math.max(this.#painted, sequence);
    this.#step();
  }

  /** An event is in the session; `teaches` if there may be something to learn from it. */
  tracked(id: number, teaches: boolean): void {
    this.#through = Math.max(this.#through, id);
    this.#owed ||= teaches;
    this.changed();
  }

  /** There is something new to keep. */
  changed(): void {
    this.#changed = true;
    this.#keepSoon();
  }

  /** What was owed to an old session is not done to a new one. */
  forget(): void {
    this.#owed = false;
    this.changed();
  }

  /**
   * One learning step, once everything that was sent is on the screen; then the next, until
   * no click waits. Each takes its own turn, so that a new click never waits for more than one.
   */
  #step(): void {
    if (!this.#owed || this.#painted < this.#sent) return;
    this.#owed = false;
    this.#queue
      .whenIdle(async () => {
        // If another update went out meanwhile, its paint comes first.
        const report = this.#painted < this.#sent ? null : await this.#client().learn();
        this.#owed ||= report !== null || this.#painted < this.#sent;
        if (report !== null) {
          this.#port.postMessage({ kind: 'learned', report });
          this.#changed = true;
        }
        this.#step();
        this.#keepSoon();
      })
      .catch((error: unknown) => this.#port.postMessage({ kind: 'fault', error: toWire(error) }));
  }

  #keepSoon(): void {
    if (!this.#changed || this.#owed || this.#timer !== undefined) return;
    const rest = this.#lastSnapshot + SNAPSHOT_PAUSE_MS - performance.now();
    this.#timer = setTimeout(() => this.#keep(), Math.max(rest, 0));
  }

  #keep(): void {
    this.#queue
      .whenIdle(() => {
        this.#timer = undefined;
        // An event came in meanwhile: once it is learnt from, its step keeps.
        if (this.#owed || !this.#changed) return;
        this.#changed = false;
        this.#lastSnapshot = performance.now();
        const bytes = this.#client().exportPersonal().slice();
        this.#port.postMessage({ kind: 'snapshot', bytes, through: this.#through }, [
          bytes.buffer as ArrayBuffer,
        ]);
      })
      .catch((error: unknown) => this.#port.postMessage({ kind: 'fault', error: toWire(error) }));
  }
}
