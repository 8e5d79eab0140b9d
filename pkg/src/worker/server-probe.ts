/** Shortest and longest pause between two probes, in milliseconds. */
const PAUSES = { shortest: 1_000, longest: 60_000 };
/** Random share of a pause, so that devices do not all ask at the same time after an outage. */
const JITTER = 0.25;

/** What a probe needs from the host. */
export interface ProbeHost {
  /** Asks the server whether it can make lists; may reject. */
  ask(): Promise<boolean>;
  /** The server has answered or not. `current()`: the probe was not stopped in the meantime. */
  probed(reached: boolean, current: () => boolean): void;
}

/**
 * Finds out whether a server that failed answers again, while no list is wanted whose request would
 * tell. One small request at a time, with increasing pauses, until the server answers.
 */
export class ServerProbe {
  readonly #host: ProbeHost;
  /** Increases when the probe is stopped: a later answer is ignored. */
  #epoch = 0;
  #asking = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = 0;
  #pause = 0;

  constructor(host: ProbeHost) {
    this.#host = host;
  }

  /** Milliseconds until the next probe; `null` if none is waiting. */
  get inMs(): number | null {
    return this.#timer === undefined ? null : Math.max(this.#due - performance.now(), 0);
  }

  /** The server failed, and the next request may be after this time: pauses become no shorter. */
  notePause(ms: number): void {
    this.#pause = Math.min(Math.max(this.#pause, ms), PAUSES.longest);
  }

  /** Asks now, unless a probe is under way or waiting. */
  start(): void {
    if (this.#asking || this.#timer !== undefined) return;
    this.#asking = true;
    const epoch = this.#epoch;
    const current = (): boolean => epoch === this.#epoch;
    void this.#host
      .ask()
      .catch(() => false)
      .then((reached) => {
        if (!current()) return;
        this.#asking = false;
        if (!reached) this.#later();
        this.#host.probed(reached, current);
      });
  }

  /** Ends the probe: a request for a list tells as much, or the network or session changed. */
  stop(): void {
    this.#epoch += 1;
    this.#asking = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The server answers: the next failure begins with the shortest pause. */
  succeeded(): void {
    this.stop();
    this.#pause = 0;
  }

  #later(): void {
    this.#pause = Math.min(Math.max(2 * this.#pause, PAUSES.shortest), PAUSES.longest);
    const wait = this.#pause * (1 - JITTER * Math.random());
    this.#due = performance.now() + wait;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.start();
    }, wait);
  }
}
