type Job = () => Promise<void>;

/**
 * Runs jobs one after another, because the WebAssembly client is not re-entrant. Jobs of
 * {@link whenIdle} run only while no other job waits, so that learning never delays a click.
 */
export class JobQueue {
  readonly #waiting: Job[] = [];
  readonly #idle: Job[] = [];
  #running = false;

  /** Runs a job after those before it, and settles with its result. */
  run<T>(job: () => T | Promise<T>): Promise<T> {
    return this.#add(this.#waiting, job);
  }

  /** Runs a job when no other job waits. */
  whenIdle<T>(job: () => T | Promise<T>): Promise<T> {
    return this.#add(this.#idle, job);
  }

  #add<T>(lane: Job[], job: () => T | Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      lane.push(async () => {
        try {
          resolve(await job());
        } catch (error) {
          reject(error);
        }
      });
      if (!this.#running) void this.#drain();
    });
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (;;) {
      const job = this.#waiting.shift() ?? this.#idle.shift();
      if (job === undefined) break;
      await job();
    }
    this.#running = false;
  }
}
