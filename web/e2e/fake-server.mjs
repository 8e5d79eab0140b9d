import { createServer } from 'node:http';
import { release } from './fake-release.mjs';

/** A copy with one flipped bit in the middle. */
function flipped(file) {
  const copy = Buffer.from(file);
  copy[copy.length >> 1] ^= 1;
  return copy;
}

/**
 * Fake cloud server on a free port of 127.0.0.1 that can simulate faults.
 */
export class FakeServer {
  /**
   * The simulated fault: `down`, `slow`, `garbage` (an HTML page instead of JSON), `no-cors`,
   * `flipped` (one bit in every file), `flipped-cells`, `no-cells` (404), an HTTP status, or
   * `null` for none.
   */
  fault = null;
  /** Received requests: method, path, body, authorization header. */
  requests = [];
  #release;
  #server = createServer((request, response) => this.#answer(request, response));
  #slow = [];
  url = '';

  constructor(changes) {
    this.#release = release(changes);
  }

  /** Starts a server; for `changes` see `release`. */
  static async start(changes) {
    const server = new FakeServer(changes);
    await server.listen(0);
    return server;
  }

  async listen(port) {
    await new Promise((ready) => this.#server.listen(port, '127.0.0.1', ready));
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Item ids of the catalogue. */
  get items() {
    return this.#release.items;
  }

  /** Bytes of all cells that were requested. */
  get cellBytes() {
    const cells = this.requests.flatMap(({ path }) => /cells\/[0-9a-f]+$/.exec(path)?.[0] ?? []);
    return cells.reduce((sum, path) => sum + this.#release.files[path].length, 0);
  }

  /** Replaces the release, from the next request on. */
  replaceRelease(changes) {
    this.#release = release(changes);
  }

  /** Bodies of the POST requests to a path. */
  posted(path) {
    return this.requests
      .filter((request) => request.method === 'POST' && request.path === path)
      .map(({ body }) => JSON.parse(body));
  }

  /** Responds to the requests held back by the fault `slow`. */
  releaseSlow() {
    for (const respond of this.#slow.splice(0)) respond();
  }

  async close() {
    this.releaseSlow();
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #answer(request, response) {
    const { pathname: path } = new URL(request.url, this.url);
    if (this.fault === 'down') {
      request.socket.destroy();
      return;
    }
    if (this.fault !== 'no-cors') {
      response.setHeader('access-control-allow-origin', '*');
      response.setHeader('access-control-allow-headers', 'content-type, authorization');
      response.setHeader('access-control-expose-headers', 'x-artifacts, retry-after');
    }
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    const body = Buffer.concat(await request.toArray()).toString();
    const { authorization } = request.headers;
    this.requests.push({ method: request.method, path, body, authorization });
    if (this.fault === 'slow') await new Promise((respond) => this.#slow.push(respond));
    if (typeof this.fault === 'number') {
      response.setHeader('retry-after', '1');
      response.writeHead(this.fault).end();
      return;
    }
    if (this.fault === 'garbage') {
      response.end('<!doctype html><title>Captive portal</title>');
      return;
    }
    this.#serve(path, body, response);
  }

  #serve(path, body, response) {
    const { files, manifest, hash } = this.#release;
    const file = files[path.slice(`/artifacts/${hash}/`.length)];
    if (path === '/v1/manifest') {
      response.setHeader('x-artifacts', hash);
      response.setHeader('cache-control', 'no-cache');
      response.end(manifest);
    } else if (path.startsWith(`/artifacts/${hash}/`) && file !== undefined) {
      // Only the caches of the package may serve this file again, not the HTTP cache.
      response.setHeader('cache-control', 'no-store');
      const isCell = path.includes('/cells/');
      if (isCell && this.fault === 'no-cells') response.writeHead(404).end();
      else if (this.fault === 'flipped' || (isCell && this.fault === 'flipped-cells')) {
        response.end(flipped(file));
      } else response.end(file);
    } else if (path === '/v1/candidates') {
      response.end(JSON.stringify(this.#list(JSON.parse(body))));
    } else if (path === '/v1/rows') {
      response.end(JSON.stringify(this.#rows(JSON.parse(body))));
    } else if (path === '/v1/models') {
      const models = ['small', 'large'].map((name) => ({ name, ready: true }));
      response.end(JSON.stringify({ models }));
    } else if (path === '/v1/events') {
      const accepted = JSON.parse(body).events.length;
      response.end(JSON.stringify({ accepted, repeated: 0, unknown: 0 }));
    } else if (path === '/v1/disagreements') {
      response.writeHead(204).end();
    } else {
      response.writeHead(404).end();
    }
  }

  #row(wanted, item) {
    return wanted ? { row: this.#release.rowOf(item) } : {};
  }

  /** Rows, and as the one neighbour of an item the one after it in the catalogue. */
  #rows({ items, counts = [] }) {
    const found = items.map((item) => ({ item, row: this.#release.rowOf(item) }));
    const rows = found.filter(({ row }) => row !== null);
    const near = (item) => {
      const next = this.items[this.items.indexOf(item) + 1];
      return [{ item: next, weight: 1, ...this.#row(true, next) }];
    };
    return {
      rows_hash: this.#release.rowsHash,
      rows,
      counts: counts.map((item) => ({ item, near: near(item) })),
      unknown: items.length - rows.length,
    };
  }

  /** Fifty unseen items in the format of a candidate list. */
  #list({ history, exclude = [], model = 'small', rows = false }) {
    const seen = new Set([...history, ...exclude]);
    const unseen = this.items.filter((item) => !seen.has(item));
    const start = (history.length * 7) % (unseen.length - 50);
    return {
      model,
      catalogue_hash: this.#release.catalogue,
      ranking: history.length === 0 ? 'popularity' : 'language_model',
      candidates: unseen
        .slice(start, start + 50)
        .map((item, rank) => ({ item, logprob: -1 - rank / 10, ...this.#row(rows, item) })),
      history_rows: rows ? this.#rows({ items: history }).rows : [],
      ignored: { unknown: 0, duplicate: 0, truncated: 0 },
      timings: {
        queue_ms: 0,
        prompt_ms: 0,
        decode_ms: 0,
        total_ms: 1,
        prompt_tokens: 0,
        decoded_tokens: 0,
      },
    };
  }
}
