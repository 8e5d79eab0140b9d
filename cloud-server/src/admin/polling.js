/** Repeats a task while the page is visible. */
export class Polling {
  #task;
  #interval;
  #timer = null;
  #running = false;
  #onVisible = () => this.#resume();

  /** `interval` returns the milliseconds until the next run. */
  constructor(task, interval) {
    this.#task = task;
    this.#interval = interval;
  }

  start() {
    this.#running = true;
    document.addEventListener('visibilitychange', this.#onVisible);
    return this.now();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    document.removeEventListener('visibilitychange', this.#onVisible);
  }

  /** Runs the task now, and then again after each interval. */
  async now() {
    clearTimeout(this.#timer);
    await this.#task();
    if (!this.#running) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!document.hidden) void this.now();
    }, this.#interval());
  }

  #resume() {
    if (!document.hidden) void this.now();
  }
}
