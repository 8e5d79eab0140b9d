/**
 * The server behind the page for a visitor's own files (`own.html`): takes the files, trains with
 * `tandem quickstart`, tells the page how it goes, and starts a `cloud-server` with the result.
 *
 * It is a program of the demo, for the person at this machine. It listens on the loopback interface
 * only. Every request of the page carries a token that is new for each start and that only the page
 * has; requests of pages of another origin, or under another host name, are refused.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize, sep } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Run } from './run.mjs';

/** Largest file, in bytes. */
export const MAX_BYTES = 512 * 1024 * 1024;

const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  // The server of the trained shop has a port of its own.
  "connect-src 'self' http://127.0.0.1:*",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
};

/** A refusal, as the page reads it: `{ code, message }`. */
class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Serves the page and its requests on a port of the loopback interface.
 *
 * @param {{ programs: string, site: string, port?: number, firstShop?: string | null,
 *   minutes?: string | null, maxBytes?: number }} options
 *   `site`: folder of the built site; `firstShop`: address of the film shop
 */
export async function ownDataServer({
  programs,
  site,
  port = 0,
  firstShop = null,
  minutes = null,
  maxBytes = MAX_BYTES,
}) {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-own-'));
  const token = randomBytes(32).toString('base64url');
  /** Paths of the uploaded files in the folder. */
  const files = { events: null, items: null };
  let run = null;
  let origin = '';

  const routes = {
    'PUT /api/events': (request, url) => upload(request, url, 'events'),
    'PUT /api/items': (request, url) => upload(request, url, 'items'),
    'DELETE /api/items': async () => {
      files.items = null;
    },
    'POST /api/start': start,
    'POST /api/cancel': () => run?.stop(),
    'GET /api/progress': progress,
  };

  async function upload(request, url, kind) {
    refuseWhileTraining();
    const name = fileName(url.searchParams.get('name') ?? '');
    if (name === null) throw new Refusal(400, 'bad_name', `${kind}: expected the name of a file`);
    files[kind] = null;
    await rm(join(folder, kind), { recursive: true, force: true });
    await mkdir(join(folder, kind));
    await pipeline(
      request,
      limited(maxBytes, name),
      createWriteStream(join(folder, kind, name), { mode: 0o600 }),
    );
    files[kind] = `${kind}/${name}`;
  }

  async function start() {
    refuseWhileTraining();
    if (files.events === null) {
      throw new Refusal(
        400,
        'no_events',
        'expected a file of events, found none: choose one first',
      );
    }
    const before = run;
    run = new Run({ programs, folder, origin, minutes });
    await before?.stop();
    void run.start(files.events, files.items);
  }

  function refuseWhileTraining() {
    if (run !== null && !run.ended) {
      throw new Refusal(409, 'busy', 'a training is running: wait for its end, or cancel it');
    }
  }

  /** Sends the events of the last run as lines of JSON, old ones first, until it ends. */
  async function progress(request, _, response) {
    response.writeHead(200, {
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
    });
    const send = (event) => response.write(`${JSON.stringify(event)}\n`);
    const watched = run;
    watched?.events.forEach(send);
    if (watched !== null && !watched.ended) {
      await new Promise((done) => {
        const stop = watched.listen((event) => {
          send(event);
          if (watched.ended) done();
        });
        request.on('close', () => {
          stop();
          done();
        });
      });
    }
    response.end();
  }

  function guard(request) {
    const { host, origin: from, authorization = '' } = request.headers;
    // A name that resolves to this machine (DNS rebinding) is not this site.
    if (`http://${host}` !== origin) {
      throw new Refusal(421, 'wrong_host', `expected the host ${new URL(origin).host}`);
    }
    if (!(request.url ?? '').startsWith('/api/')) return;
    if (from !== undefined && from !== origin) {
      throw new Refusal(
        403,
        'wrong_origin',
        `expected a request of ${origin}, found one of ${from}`,
      );
    }
    const given = Buffer.from(authorization.replace(/^Bearer /, ''));
    const wanted = Buffer.from(token);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      throw new Refusal(401, 'wrong_token', 'the page is older than the server: reload it');
    }
  }

  async function page(url) {
    const path = normalize(decodeURIComponent(url.pathname === '/' ? '/own.html' : url.pathname));
    const type = TYPES[extname(path)];
    if (type === undefined || path.split(sep).includes('..')) throw notFound(url);
    let body = await readFile(join(site, path)).catch(() => {
      throw notFound(url);
    });
    if (path === '/own.html') body = withNotes(body.toString(), { token, firstShop });
    return { body, type };
  }

  async function answer(request, response) {
    guard(request);
    const url = new URL(request.url ?? '/', origin);
    if (url.pathname.startsWith('/api/')) {
      const route = routes[`${request.method} ${url.pathname}`];
      if (route === undefined) throw notFound(url);
      await route(request, url, response);
      if (!response.headersSent) response.writeHead(204).end();
      return;
    }
    const { body, type } = await page(url);
    response.writeHead(200, {
      'content-type': type,
      'content-security-policy': POLICY,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    response.end(body);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      const { status = 500, code = 'internal', message } = error;
      if (response.headersSent) return response.destroy();
      // What is left of a refused upload is not read.
      response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
      response.end(JSON.stringify({ code, message }));
    });
  });
  server.requestTimeout = 0;
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  origin = `http://127.0.0.1:${server.address().port}`;
  return {
    url: origin,
    token,
    folder,
    async close() {
      await run?.stop();
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const notFound = (url) => new Refusal(404, 'not_found', `${url.pathname} does not exist`);

/** A name without folders, patterns or a leading dot or dash; `null` if nothing is left. */
export function fileName(given) {
  const name = (given.split(/[/\\]/).at(-1) ?? '').replace(/[^\p{L}\p{N}._-]/gu, '_');
  const plain = name.replace(/^[.-]+/, '').slice(-100);
  return plain === '' ? null : plain;
}

/** Passes at most `most` bytes. */
function limited(most, name) {
  let bytes = 0;
  return new Transform({
    transform(chunk, _, done) {
      bytes += chunk.length;
      const tooMuch = `${name}: expected at most ${Math.floor(most / 1_048_576)} MB; run tandem quickstart on it instead`;
      done(bytes > most ? new Refusal(413, 'too_large', tooMuch) : null, chunk);
    },
  });
}

/** The page with what it needs to know, as `cargo xtask demo` tells the other pages. */
function withNotes(html, { token, firstShop }) {
  const note = (name, value) =>
    value === null ? '' : `<meta name="tandem-${name}" content="${value.replace(/["&<]/g, '')}" />`;
  const notes = note('own-token', token) + note('first-shop', firstShop);
  return html.replace('</head>', `${notes}</head>`);
}
