import { errorFrom, ServerError, type TandemError, type WireError } from '../shared/errors.js';
import type { Command, Opened, OpenSettings, Restore, Results } from '../shared/messages.js';
import type { Device } from '../shared/update.js';
import { Channel, type Notice, type WorkerLike } from './channel.js';

/** Maximum number of new workers within {@link RESTART_SPAN_MS}. */
export const MAX_RESTARTS = 3;
export const RESTART_SPAN_MS = 60_000;

/** Pauses between attempts to open a worker while the server cannot be reached. */
export const REOPEN_PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/** What a supervisor needs from the recommender. */
export interface Supervised {
  notice(notice: Notice): void;
  /**
   * The session for a new worker. `except` returns the events that are sent to it as calls;
   * it is called after the journal has been read, because there may be more until then.
   */
  restore(except: () => ReadonlySet<number>): Promise<Restore>;
  /** A new worker has replaced one that died. */
  restarted(opened: Opened): void;
  /** No worker can be started any more. */
  failed(error: TandemError): void;
}

interface Call {
  command: Command;
  resolve(value: unknown): void;
  reject(error: TandemError): void;
}

/**
 * Keeps a worker running. If it dies, its WebAssembly traps or its GPU is lost, a new worker
 * continues with the stored session and gets the pending calls.
 *
 * The end of a worker causes no event. It therefore holds a lock while it lives (Web Locks
 * API), and the page waits for that lock.
 */
export class Supervisor {
  readonly #spawn: () => WorkerLike;
  readonly #supervised: Supervised;
  #settings: OpenSettings;
  #channel: Channel | null = null;
  /** The channel of an open worker; without one, calls wait. */
  #serving: Channel | null = null;
  #opened = false;
  /** The device of the last worker that was opened. */
  #device: Device = 'cpu';
  readonly #calls = new Set<Call>();
  #restarts: number[] = [];
  #ended: TandemError | null = null;
  /** The page is in the back/forward cache. */
  #resting = false;
  /** Ends the wait for the worker's lock. */
  #watching = new AbortController();

  constructor(spawn: () => WorkerLike, settings: OpenSettings, supervised: Supervised) {
    this.#spawn = spawn;
    this.#settings = settings;
    this.#supervised = supervised;
  }

  get settings(): OpenSettings {
    return this.#settings;
  }

  /** Changes the settings of later workers. */
  remember(changes: Partial<OpenSettings>): void {
    this.#settings = { ...this.#settings, ...changes };
  }

  /** Starts the first worker. */
  async open(restore: Promise<Restore | null>): Promise<Opened> {
    const channel = this.#start();
    const kept = await restore;
    const settings = this.#settings;
    const opened = await channel.call({ type: 'open', settings, restore: kept });
    this.#opened = true;
    this.#device = opened.device;
    this.#serve(channel);
    return opened;
  }

  /** Calls the worker, or the next one. */
  call<C extends Command>(command: C): Promise<Results[C['type']]> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const call: Call = {
        command,
        resolve: (value) => resolve(value as Results[C['type']]),
        reject,
      };
      this.#calls.add(call);
      this.#send(call);
    });
  }

  post(message: Parameters<Channel['post']>[0]): void {
    this.#channel?.post(message);
  }

  /**
   * The page enters the back/forward cache, or comes back. Meanwhile worker and page give up
   * their lock, because browsers may refuse to keep pages with locks.
   */
  rest(resting: boolean): void {
    this.#resting = resting;
    if (resting) this.#watching.abort();
    this.post({ kind: 'lock', held: !resting });
  }

  /** Ends the worker for good. Pending and later calls reject with `reason`. */
  close(reason: TandemError): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#channel?.close(reason);
    for (const { reject } of this.#calls) reject(reason);
    this.#calls.clear();
  }

  /** A worker is open: it gets the waiting calls. */
  #serve(channel: Channel): void {
    this.#serving = channel;
    for (const call of [...this.#calls]) this.#send(call);
  }

  #send(call: Call): void {
    const channel = this.#serving;
    // Between two workers: sent when the next one is open.
    if (channel === null) return;
    channel.call(call.command).then(
      (value) => {
        this.#calls.delete(call);
        call.resolve(value);
      },
      (error: TandemError) => {
        // The call is repeated with the next worker.
        if (this.#channel !== channel || channel.closed) return;
        // On WebGPU, the GPU is the likely cause: the call is repeated on the CPU.
        if (this.#device === 'webgpu' && (error.fatal || error.code === 'device_lost')) {
          this.#replace(error, { device: 'cpu' });
          return;
        }
        this.#calls.delete(call);
        call.reject(error);
        // The same event would trap again: it is left out.
        if (error.fatal) this.#replace(error, { without: call.command });
      },
    );
  }

  #start(): Channel {
    const lock = lockName();
    this.#settings = { ...this.#settings, lock };
    const channel = new Channel(
      this.#spawn(),
      (notice) => this.#receive(channel, lock, notice),
      (error) => {
        // A worker that cannot be loaded would fail again.
        if (this.#opened) this.#replace(error);
        else this.#fail(error);
      },
    );
    this.#channel = channel;
    return channel;
  }

  #receive(channel: Channel, lock: string | null, notice: Notice): void {
    if (notice.kind === 'alive') {
      this.#watch(channel, lock);
      return;
    }
    this.#supervised.notice(notice);
    if (notice.kind !== 'fault') return;
    if (notice.error.fatal === true) this.#replace(errorFrom(notice.error));
    else if (notice.error.code === 'device_lost') {
      this.#replace(errorFrom(notice.error), { device: 'cpu' });
    }
  }

  /** Waits for the lock that the worker releases when it ends. */
  #watch(channel: Channel, lock: string | null): void {
    if (lock === null || this.#resting) return;
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    const ended = navigator.locks.request(lock, { signal }, () => {
      if (this.#channel !== channel || channel.closed) return;
      const error = errorFrom({ code: 'worker_failed', message: 'the browser ended the worker' });
      if (this.#opened) this.#replace(error);
      else this.#fail(error);
    });
    // Aborted, or without locks: the end of a worker is not noticed.
    ended.catch(() => undefined);
  }

  #replace(error: TandemError, how: { device?: 'cpu'; without?: Command } = {}): void {
    if (this.#ended !== null) return;
    this.#channel?.close(error);
    this.#channel = null;
    this.#serving = null;
    const now = performance.now();
    this.#restarts = this.#restarts.filter((at) => now - at < RESTART_SPAN_MS);
    if (this.#restarts.length >= MAX_RESTARTS) {
      this.#fail(error);
      return;
    }
    this.#restarts.push(now);
    const { device, without } = how;
    if (device !== undefined) this.remember({ device });
    const except = (): ReadonlySet<number> => {
      const commands = [...this.#calls].map(({ command }) => command);
      if (without !== undefined) commands.push(without);
      return new Set(commands.flatMap((command) => (command.type === 'track' ? [command.id] : [])));
    };
    this.#continue(error, device !== undefined, except).catch((failure: TandemError) =>
      this.#fail(failure),
    );
  }

  async #continue(
    cause: TandemError,
    toCpu: boolean,
    except: () => ReadonlySet<number>,
  ): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const restore = await this.#supervised.restore(except);
      if (this.#ended !== null) return;
      const channel = this.#start();
      const settings = this.#settings;
      try {
        const opened = await channel.call({ type: 'open', settings, restore });
        if (this.#ended !== null || this.#channel !== channel) return;
        const fallback: WireError | null = toCpu
          ? { code: cause.code, message: cause.message }
          : opened.fallback;
        this.#device = opened.device;
        this.#supervised.restarted({ ...opened, fallback });
        this.#serve(channel);
        return;
      } catch (error) {
        // This worker has died as well and has a successor by now.
        if (this.#ended !== null || this.#channel !== channel) return;
        const pause = REOPEN_PAUSES_MS[attempt];
        // Without cached files the worker needs the server.
        if (!(error instanceof ServerError) || pause === undefined) throw error;
        this.#channel = null;
        channel.close(error);
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  #fail(error: TandemError): void {
    if (this.#ended !== null) return;
    this.close(error);
    this.#supervised.failed(error);
  }
}

/** Name of a worker's lock; `null` where there are no locks. */
function lockName(): string | null {
  if (typeof navigator === 'undefined' || !navigator.locks) return null;
  return `tandem worker ${crypto.randomUUID()}`;
}
