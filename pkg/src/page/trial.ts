import type { OpenSettings } from '../shared/messages.js';
import type { DeviceTrial } from '../shared/update.js';
import { Channel, type WorkerLike } from './channel.js';

/** A GPU that has not shown what it can do by then is left, in milliseconds. */
export const TRIAL_TIMEOUT_MS = 120_000;

/** What a trial needs from the recommender around it. */
export interface TrialHost {
  spawn(): WorkerLike;
  /** Whether there is a GPU that was not measured yet. */
  due(): Promise<boolean>;
  settings(): OpenSettings;
  /** Both devices are measured. */
  measured(trial: DeviceTrial): void;
}

/**
 * Measures the GPU beside the CPU, once, on a copy of the session and in a worker of its
 * own: whatever happens to the GPU there, the session does not notice, and what was loaded
 * for it goes with the worker.
 */
export class Trial {
  readonly #host: TrialHost;
  #offered = false;
  #closed = false;
  #channel: Channel | null = null;

  constructor(host: TrialHost) {
    this.#host = host;
  }

  /** The session is at rest; only the first offer is taken. */
  offer(snapshot: Uint8Array): void {
    if (this.#offered) return;
    this.#offered = true;
    // Without a result the CPU remains, which needs no telling.
    this.#run(snapshot)
      .catch(() => undefined)
      .finally(() => this.close());
  }

  /** Ends it, if it is under way. */
  close(): void {
    this.#closed = true;
    this.#channel?.close();
  }

  async #run(snapshot: Uint8Array): Promise<void> {
    const due = await this.#host.due();
    if (!due || this.#closed) return;
    const channel = new Channel(
      this.#host.spawn(),
      () => {},
      () => {},
    );
    this.#channel = channel;
    const timer = setTimeout(() => channel.close(), TRIAL_TIMEOUT_MS);
    try {
      const settings = this.#host.settings();
      const trial = await channel.call({ type: 'trial', settings, snapshot });
      if (trial !== null && !this.#closed) this.#host.measured(trial);
    } finally {
      clearTimeout(timer);
    }
  }
}
