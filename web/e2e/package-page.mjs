import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { STRICT } from './static-server.mjs';

const pkg = fileURLToPath(new URL('../../pkg', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
  '.map': 'application/json',
};
const POLICY = Object.entries(STRICT)
  .map(([directive, sources]) => `${directive} ${sources}`)
  .join('; ');

/** A page that only exposes the package to tests. */
const PAGE = '<!doctype html><title>Package</title><script type="module" src="/page.js"></script>';
const SCRIPT = `
  import * as tandem from '/dist/page/index.js';
  window.tandem = tandem;
  window.seen = [];
  window.open_ = async (options) => {
    const rec = await tandem.createRecommender(options);
    window.rec = rec;
    for (const name of ['update', 'decision', 'learn', 'offline', 'error']) {
      rec.on(name, (payload) => window.seen.push({ name, payload:
        payload instanceof Error ? { code: payload.code, name: payload.name } : payload }));
    }
    return rec.state();
  };
  if ('serviceWorker' in navigator && location.search === '?installed') {
    await navigator.serviceWorker.register('/sw.js');
    await navigator.serviceWorker.ready;
  }
  window.loaded = true;
`;
/** Service worker of the site: caches the page and scripts, which the package cannot do. */
const SERVICE_WORKER = `
  self.addEventListener('install', () => self.skipWaiting());
  self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
  self.addEventListener('fetch', (event) => {
    if (new URL(event.request.url).origin !== location.origin) return;
    event.respondWith(
      fetch(event.request).then(async (response) => {
        const copy = response.clone();
        (await caches.open('site')).put(event.request, copy);
        return response;
      }).catch(() => caches.match(event.request, { ignoreSearch: true })),
    );
  });
`;

/**
 * The worker with a software adapter that claims to be hardware of the given name: the package
 * does not measure software adapters, and test machines have no others.
 */
const workerOn = (adapter) => `
  import '/adapter.js?${adapter}';
  import '/dist/worker/index.js';
`;
const ADAPTER = `
  const [name] = new URL(import.meta.url).searchParams.keys();
  for (const [property, value] of [['isFallbackAdapter', false], ['device', name]]) {
    Object.defineProperty(GPUAdapterInfo.prototype, property, { get: () => value });
  }
`;

/**
 * Serves the built package and a page that loads it, under the strict policy.
 *
 * @param {{ headers?: Record<string, string>, pages?: Record<string, string> }} [options]
 *   `headers` for every response; `pages`: contents of further files by their paths
 */
export async function servePackage({ headers = {}, pages = {} } = {}) {
  const made = {
    '/': PAGE,
    '/page.js': SCRIPT,
    '/sw.js': SERVICE_WORKER,
    '/adapter.js': ADAPTER,
    ...pages,
  };
  const requests = [];
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url, 'http://127.0.0.1');
    requests.push(pathname);
    const type = pathname === '/' ? 'text/html; charset=utf-8' : TYPES[extname(pathname)];
    try {
      const body =
        (pathname === '/worker-on.js' ? workerOn(search.slice(1)) : made[pathname]) ??
        (await readFile(join(pkg, normalize(pathname))));
      response.writeHead(200, {
        'content-type': type ?? 'application/octet-stream',
        'content-security-policy': POLICY,
        ...headers,
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Requested paths. */
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}

/** The browser profile of one visitor: storage is shared by its tabs only. */
export class Visitor {
  faults = [];

  constructor(context, site) {
    this.context = context;
    this.site = site;
  }

  static async arrive(browser, site) {
    return new Visitor(await browser.newContext(), site);
  }

  /** Opens a tab with the test page. */
  async tab({ path = '/', prepare = async () => {} } = {}) {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.faults.push(error.message));
    await prepare(page);
    await page.goto(`${this.site.url}${path}`);
    await page.waitForFunction(() => window.loaded === true);
    return new Tab(page);
  }

  leave() {
    return this.context.close();
  }
}

/** One tab. Recommender methods are called by name; errors are returned as `{ error }`. */
export class Tab {
  constructor(page) {
    this.page = page;
  }

  /** Creates a recommender; resolves with its state or `{ error }`. */
  open(options) {
    return this.page.evaluate(
      (given) =>
        window
          .open_(given)
          .catch(({ code, name, message }) => ({ error: { code, name, message } })),
      options,
    );
  }

  call(method, ...args) {
    return this.page.evaluate(
      ([name, given]) =>
        Promise.resolve(window.rec[name](...given)).catch((error) => ({
          error: { code: error.code, name: error.name, message: error.message },
        })),
      [method, args],
    );
  }

  click(item) {
    return this.call('track', { type: 'click', item });
  }

  state() {
    return this.page.evaluate(() => window.rec.state());
  }

  /** Payloads of the events with this name so far. */
  payloads(name) {
    return this.page.evaluate(
      (wanted) =>
        window.seen.filter((event) => event.name === wanted).map(({ payload }) => payload),
      name,
    );
  }

  /** Polls until an expression is true (`waitForFunction` needs eval, which the policy forbids). */
  async until(expression, timeout = 20_000) {
    const end = Date.now() + timeout;
    while (!(await this.page.evaluate(expression))) {
      if (Date.now() > end) throw new Error(`timeout while waiting for ${expression}`);
      await this.page.waitForTimeout(50);
    }
  }

  /** Waits until `steps` learning steps are done and stored. */
  async atRest(steps) {
    await this.until(`window.rec.state().learned?.step >= ${steps}`);
    await this.page.waitForTimeout(1_500);
  }

  /** Waits for a candidate list. */
  async listed() {
    const { items } = await this.call('recommend');
    if (items.length > 0) return;
    await this.until(
      `window.seen.some(({ name, payload }) => name === 'update' && payload.items.length > 0)`,
    );
  }

  /** Waits until `count` workers are left; the browser reports the end of a worker late. */
  async workersLeft(count, timeout = 20_000) {
    const end = Date.now() + timeout;
    while (this.page.workers().length !== count) {
      if (Date.now() > end) throw new Error(`${this.page.workers().length} workers are left`);
      await this.page.waitForTimeout(50);
    }
  }

  /** Ends the worker without an event, as browsers do when memory runs out. */
  async killWorker() {
    const [worker] = this.page.workers();
    await worker.evaluate(() => self.close()).catch(() => undefined);
  }

  /** Causes of the updates so far. */
  async causes() {
    return (await this.payloads('update')).map(({ cause }) => cause);
  }

  /** Codes of the `error` events so far. */
  async codes() {
    return (await this.payloads('error')).map(({ code }) => code);
  }

  /** The history, read without the worker. */
  history() {
    return this.page.evaluate(() => window.rec.state().history);
  }

  /** Freezes the tab, as browsers do with background tabs. */
  freeze() {
    return this.#lifecycle('frozen');
  }

  thaw() {
    return this.#lifecycle('active');
  }

  async #lifecycle(state) {
    const session = await this.page.context().newCDPSession(this.page);
    await session.send('Page.setWebLifecycleState', { state });
    await session.detach();
  }

  close() {
    return this.page.close();
  }
}
