import { errorFrom, ServerError, type TandemError, type WireError } from '../shared/errors.js';
import type { Command, Opened, OpenSettings, Restore, Results } from '../shared/messages.js';
import type { Device } from '../shared/update.js';
import { Channel, type Notice, type WorkerLike } from './channel.js';

/** So many new workers within {@link RESTART_SPAN_MS}, and the recommender gives up. */
export const MAX_RESTARTS = 3;
export const RESTART_SPAN_MS = 60_000;

/** Pauses before the next attempts to open a worker that the server had no files for. */
export const REOPEN_PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000];

/** What a supervisor needs from the recommender around it. */
export interface Supervised {
  notice(notice: Notice): void;
  /**
   * What a new worker begins with. `except` names the events that it is sent anyway; asked
   * when the journal has been read, for until then more may come.
   */
  restore(except: () => ReadonlySet<number>): Promise<Restore>;
  /** Another worker has taken over. */
  restarted(opened: Opened): void;
  /** There is no worker any more, and will be none. */
  failed(error: TandemError): void;
}

interface Call {
  command: Command;
  resolve(value: Results[keyof Results]): void;
  reject(error: TandemError): void;
}

/**
 * Keeps a worker at work. When it dies, or its WebAssembly traps, or its GPU is lost, another
 * takes its place, goes on with the kept session, and is asked what the old one still owed.
 *
 * A worker that ends gives no sign of it. It therefore holds a lock as long as it lives
 * (Web Locks API), which the page waits for.
 */
export class Supervisor {
  readonly #spawn: () => WorkerLike;
  readonly #supervised: Supervised;
  #settings: OpenSettings;
  #channel: Channel | null = null;
  /** The channel once its worker is open; calls wait for it. */
  #serving: Channel | null = null;
  #opened = false;
  /** Where the last worker that was opened computes. */
  #device: Device = 'cpu';
  readonly #calls = new Set<Call>();
  #restarts: number[] = [];
  #ended: TandemError | null = null;

  constructor(spawn: () => WorkerLike, settings: OpenSettings, supervised: Supervised) {
    this.#spawn = spawn;
    this.#settings = settings;
    this.#supervised = supervised;
  }

  get settings(): OpenSettings {
    return this.#settings;
  }

  /** Changes what a later worker is opened with. */
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

  /** Asks the worker, or the one after it. */
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

  /** Ends it all; what is pending and what comes later rejects with `reason`. */
  close(reason: TandemError): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#channel?.close(reason);
    for (const { reject } of this.#calls) reject(reason);
    this.#calls.clear();
  }

  /** A worker is open: it gets what waits. */
  #serve(channel: Channel): void {
    this.#serving = channel;
    for (const call of [...this.#calls]) this.#send(call);
  }

  #send(call: Call): void {
    const channel = this.#serving;
    // Between two workers: sent once the next is open.
    if (channel === null) return;
    channel.call(call.command).then(
      (value) => {
        this.#calls.delete(call);
        call.resolve(value);
      },
      (error: TandemError) => {
        // What the old worker owed the next one is asked.
        if (this.#channel !== channel || channel.closed) return;
        // Whether it says so or traps, the GPU is to blame first: the CPU is asked again.
        if (this.#device === 'webgpu' && (error.fatal || error.code === 'device_lost')) {
          this.#replace(error, { device: 'cpu' });
          return;
        }
        this.#calls.delete(call);
        call.reject(error);
        // What trapped once would again: its event is left out.
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
        // One that could not even be loaded will not be another time.
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

  /** Waits for the lock that ends with the worker. */
  #watch(channel: Channel, lock: string | null): void {
    if (lock === null) return;
    const ended = navigator.locks.request(lock, () => {
      if (this.#channel !== channel || channel.closed) return;
      const error = errorFrom({ code: 'worker_failed', message: 'the worker was ended' });
      if (this.#opened) this.#replace(error);
      else this.#fail(error);
    });
    // Without locks its end is not noticed; nothing else is amiss.
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
    this.#goOn(error, device !== undefined, except).catch((failure: TandemError) =>
      this.#fail(failure),
    );
  }

  async #goOn(
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
        // One that died as well has its own successor by now.
        if (this.#ended !== null || this.#channel !== channel) return;
        const pause = REOPEN_PAUSES_MS[attempt];
        // Without files on the device a server that is away has to be waited for.
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

/** A name for one worker's lock; `null` where there are no locks. */
function lockName(): string | null {
  if (typeof navigator === 'undefined' || navigator.locks === undefined) return null;
  return `tandem worker ${crypto.randomUUID()}`;
}
