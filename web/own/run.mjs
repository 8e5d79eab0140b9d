/** One training of a visitor's files: `tandem quickstart`, then a `cloud-server` with its release. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

/** Folder of the release below the folder of the run. */
const OUT = 'shop';
/** What `tandem quickstart` has read, in lines, once its first step is done. */
const READ = join(OUT, 'work/quickstart/read.txt');
/** Rows that could not be read, one a line; missing if there are none. */
const BAD_ROWS = join(OUT, 'work/quickstart/data/bad-rows.txt');
/** Share of rows that may be bad. */
const MAX_BAD_ROWS = '0.1';
/** Bad rows that the page lists. */
const SHOWN = 200;
const FIRST_STEP = 'reading the log';
/** Longest wait for the server, which tries the language model before it answers. */
const SERVER_MS = 180_000;

/**
 * What the page is told, in order: `step` begins, `done` ends it, `progress` is a line about the
 * step that runs, `read` says what was read and left out and has the first of the bad rows,
 * `quality` has the measured figures. The last one is `ready`, `failed` or `cancelled`.
 *
 * @typedef {{ type: 'step', name: string }
 *   | { type: 'done', name: string, seconds: number }
 *   | { type: 'progress', text: string }
 *   | { type: 'read', text: string, badRows: string[], bad: number }
 *   | { type: 'quality', text: string }
 *   | { type: 'ready', server: string }
 *   | { type: 'failed', code: 'refused' | 'internal', message: string }
 *   | { type: 'cancelled' }} RunEvent
 */

/** Splits the lines that `tandem quickstart` writes to standard error into events and errors. */
export class QuickstartLines {
  /** Lines of the error message. */
  error = [];

  /**
   * @param {string} line
   * @returns {RunEvent | null}
   */
  take(line) {
    if (this.error.length > 0) {
      this.error.push(line);
      return null;
    }
    if (line.startsWith('error: ')) {
      this.error.push(line.slice('error: '.length));
      return null;
    }
    const begun = /^(.+) …$/.exec(line);
    if (begun !== null) return { type: 'step', name: begun[1] };
    const ended = /^(.+): (\d+\.\d) s$/.exec(line);
    if (ended !== null) return { type: 'done', name: ended[1], seconds: Number(ended[2]) };
    return line.trim() === '' ? null : { type: 'progress', text: line.trim() };
  }
}

/** The figures and their verdict in the text that ends a quickstart; `null` if it has none. */
export function qualityOf(page) {
  return /^Quality on .*?(?=\n\nThe server, with release )/ms.exec(page)?.[0].trimEnd() ?? null;
}

/** Trains and serves. The files must be in the folder. */
export class Run {
  /** @type {RunEvent[]} */
  events = [];
  #children = new Set();
  #listeners = new Set();
  #cancelled = false;

  /**
   * @param {{ programs: string, folder: string, origin: string, minutes: string | null }} where
   *   `programs`: folder of `tandem` and `cloud-server`; `origin`: of the page that may call the
   *   server; `minutes`: of training, `null` for the default of `tandem quickstart`
   */
  constructor(where) {
    this.where = where;
  }

  get ended() {
    return ['ready', 'failed', 'cancelled'].includes(this.events.at(-1)?.type);
  }

  /** Calls back with every event from now on; returns a function that ends it. */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * @param {string} events path in the folder
   * @param {string | null} items path in the folder
   */
  async start(events, items) {
    try {
      await this.#train(events, items);
      if (!this.ended) this.#emit({ type: 'ready', server: await this.#serve() });
    } catch (error) {
      this.#fail('internal', error.message);
    }
  }

  /** Stops the training, or the server of a finished one. */
  async stop() {
    this.#cancelled = true;
    if (!this.ended) this.#emit({ type: 'cancelled' });
    await Promise.all(
      [...this.#children].map((child) => {
        child.kill();
        return once(child, 'exit');
      }),
    );
  }

  async #train(events, items) {
    const { folder, minutes } = this.where;
    await rm(join(folder, OUT), { recursive: true, force: true });
    const child = this.#spawn('tandem', [
      'quickstart',
      ...['--events', events],
      ...(items === null ? [] : ['--catalogue', items]),
      ...['--out', OUT],
      // The page lists them. One bad row of a small file must not stop the training.
      ...['--max-bad-rows', MAX_BAD_ROWS],
      ...(minutes === null ? [] : ['--minutes', minutes]),
    ]);
    const lines = new QuickstartLines();
    let page = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      page += text;
    });
    const ended = once(child, 'close');
    for await (const line of createInterface({ input: child.stderr })) {
      const event = lines.take(this.#withoutFolder(line));
      if (event === null) continue;
      this.#emit(event);
      if (event.type === 'done' && event.name === FIRST_STEP) await this.#report();
    }
    const [status] = await ended;
    if (this.#cancelled) return;
    if (status !== 0) {
      const message = lines.error.join('\n').trim();
      // Status 2: the files are the cause.
      this.#fail(
        status === 2 ? 'refused' : 'internal',
        message === '' ? `tandem quickstart ended with status ${status}` : message,
      );
      return;
    }
    const quality = qualityOf(page);
    if (quality !== null) this.#emit({ type: 'quality', text: quality });
  }

  async #report() {
    const { folder } = this.where;
    const text = this.#withoutFolder(await readFile(join(folder, READ), 'utf8'));
    const badRows = await readFile(join(folder, BAD_ROWS), 'utf8').catch(() => '');
    const rows = this.#withoutFolder(badRows)
      .split('\n')
      .filter((row) => row !== '');
    const shown = rows.slice(0, SHOWN);
    this.#emit({ type: 'read', text: text.trimEnd(), badRows: shown, bad: rows.length });
  }

  /** A text with the files under the names that the visitor gave them. */
  #withoutFolder(text) {
    const { folder } = this.where;
    return ['events', 'items'].reduce(
      (before, kind) => before.replaceAll(`${join(folder, kind)}/`, ''),
      text,
    );
  }

  /** Starts the server on a free port of the loopback interface; returns its address. */
  async #serve() {
    const { folder, origin } = this.where;
    this.#emit({ type: 'step', name: 'starting the server' });
    const portFile = join(folder, 'port');
    await rm(portFile, { force: true });
    const options = ['--release', OUT, '--host', '127.0.0.1', '--port', '0'];
    const child = this.#spawn('cloud-server', [
      ...options,
      ...['--port-file', portFile, '--allow-origin', origin],
    ]);
    child.stdout.resume();
    const said = [];
    child.stderr.setEncoding('utf8').on('data', (text) => said.push(text));
    const until = Date.now() + SERVER_MS;
    while (Date.now() < until) {
      if (child.exitCode !== null) {
        throw new Error(
          `cloud-server ended with status ${child.exitCode}: ${said.join('').trim()}`,
        );
      }
      const port = (await readFile(portFile, 'utf8').catch(() => '')).trim();
      const address = `http://127.0.0.1:${port}`;
      if (port !== '' && (await fetch(`${address}/readyz`).catch(() => null))?.ok) return address;
      await pause(100);
    }
    throw new Error(`cloud-server was not ready after ${SERVER_MS / 1_000} seconds`);
  }

  #spawn(program, options) {
    const child = spawn(join(this.where.programs, program), options, {
      cwd: this.where.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Spinning OpenMP threads slow each other down on a busy machine.
      env: { ...process.env, OMP_WAIT_POLICY: 'passive', RUST_LOG: 'warn' },
    });
    this.#children.add(child);
    child.on('exit', () => this.#children.delete(child));
    child.on('error', (error) => {
      this.#children.delete(child);
      this.#fail('internal', `${program} cannot be started: ${error.message}`);
    });
    return child;
  }

  #fail(code, message) {
    if (!this.ended) this.#emit({ type: 'failed', code, message });
  }

  #emit(event) {
    if (this.ended) return;
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
  }
}
