import { toWire } from '../shared/errors.js';
import type { Client } from './engine.js';
import type { Port } from './host.js';
import type { JobQueue } from './queue.js';

/** Shortest time between two snapshots of a session, in milliseconds. */
export const SNAPSHOT_PAUSE_MS = 1_000;

/**
 * Learns from clicks after their update was painted, never before. After the last step it
 * posts a snapshot of the session for the page to store.
 */
export class Learning {
  readonly #port: Port;
  readonly #queue: JobQueue;
  readonly #client: () => Client;
  /** Number of the last update that was sent, and of the last one that was painted. */
  #sent = 0;
  #painted = 0;
  /** A learning step is pending. */
  #pending = false;
  /** Number of the newest event in the session. */
  #through = 0;
  /** The session changed since the last snapshot. */
  #changed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastSnapshot = Number.NEGATIVE_INFINITY;

  constructor(port: Port, queue: JobQueue, client: () => Client) {
    this.#port = port;
    this.#queue = queue;
    this.#client = client;
  }

  /** The number for the next update. */
  nextSequence(): number {
    this.#sent += 1;
    return this.#sent;
  }

  /** An update was painted. */
  painted(sequence: number): void {
    this.#painted = Math.max(this.#painted, sequence);
    this.#step();
  }

  /** An event is in the session; `teaches`: there may be something to learn from it. */
  tracked(id: number, teaches: boolean): void {
    this.#through = Math.max(this.#through, id);
    this.#pending ||= teaches;
    this.changed();
  }

  /** Rows arrived: clicks that lacked one may be learnt from now. */
  rowsArrived(): void {
    this.#pending = true;
    this.changed();
  }

  /** The session changed. */
  changed(): void {
    this.#changed = true;
    this.#snapshotSoon();
  }

  /** The session was replaced: its pending steps are dropped. */
  forget(): void {
    this.#pending = false;
    this.changed();
  }

  /**
   * One learning step, once all updates are painted, then the next, until no click is pending.
   * Each step is a job of its own, so that a new click waits for one step at most.
   */
  #step(): void {
    if (!this.#pending || this.#painted < this.#sent) return;
    this.#pending = false;
    this.#queue
      .whenIdle(async () => {
        // If another update was sent in the meantime, its paint comes first.
        const report = this.#painted < this.#sent ? null : await this.#client().learn();
        this.#pending ||= report !== null || this.#painted < this.#sent;
        if (report !== null) {
          this.#port.postMessage({ kind: 'learned', report });
          this.#changed = true;
        }
        this.#step();
        this.#snapshotSoon();
      })
      .catch((error: unknown) => this.#port.postMessage({ kind: 'fault', error: toWire(error) }));
  }

  #snapshotSoon(): void {
    if (!this.#changed || this.#pending || this.#timer !== undefined) return;
    const rest = this.#lastSnapshot + SNAPSHOT_PAUSE_MS - performance.now();
    this.#timer = setTimeout(() => this.#snapshot(), Math.max(rest, 0));
  }

  #snapshot(): void {
    this.#queue
      .whenIdle(() => {
        this.#timer = undefined;
        // There was another event: the snapshot follows its learning step.
        if (this.#pending || !this.#changed) return;
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
