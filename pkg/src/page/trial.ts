import type { OpenSettings } from '../shared/messages.js';
import type { DeviceTrial } from '../shared/update.js';
import { Channel, type WorkerLike } from './channel.js';

/** Time limit of a trial in milliseconds. */
export const TRIAL_TIMEOUT_MS = 120_000;

/** What a trial needs from the recommender. */
export interface TrialHost {
  spawn(): WorkerLike;
  /** Whether there is a GPU that was not measured yet. */
  due(): Promise<boolean>;
  settings(): OpenSettings;
  /** Both devices are measured. */
  measured(trial: DeviceTrial): void;
}

/**
 * Measures CPU and GPU once, on a copy of the session and in a worker of its own, so that a
 * failure of the GPU does not affect the session and the memory is freed afterwards.
 */
export class Trial {
  readonly #host: TrialHost;
  #offered = false;
  #closed = false;
  #channel: Channel | null = null;

  constructor(host: TrialHost) {
    this.#host = host;
  }

  /** Starts the trial with a snapshot; only the first call has an effect. */
  offer(snapshot: Uint8Array): void {
    if (this.#offered) return;
    this.#offered = true;
    // Without a result the CPU stays in use; that is no error.
    this.#run(snapshot)
      .catch(() => undefined)
      .finally(() => this.close());
  }

  /** Aborts the trial, if it is running. */
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
