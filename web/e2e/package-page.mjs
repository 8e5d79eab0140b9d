import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { STRICT } from './static-server.mjs';

const pkg = fileURLToPath(new URL('../../pkg', import.meta.url));
const TYPES = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.map': 'application/json' };
const POLICY = Object.entries(STRICT)
  .map(([directive, sources]) => `${directive} ${sources}`)
  .join('; ');

/** The page: it does nothing but give tests the package. */
const PAGE = '<!doctype html><title>Package</title><script type="module" src="/page.js"></script>';
const SCRIPT = `
  import * as tandem from '/dist/page/index.js';
  window.tandem = tandem;
  window.seen = [];
  window.longTasks = [];
  new PerformanceObserver((list) => {
    window.longTasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ type: 'longtask', buffered: true });
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
/** A site's own service worker, for its own files: what the package cannot do for it. */
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
 * The worker, on an adapter that says it is hardware of this name: the only one that browsers
 * without a graphics card have is software, which the package leaves alone.
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

/** Serves the built package and a page that has it, under the strictest policy. */
export async function servePackage() {
  const made = { '/': PAGE, '/page.js': SCRIPT, '/sw.js': SERVICE_WORKER, '/adapter.js': ADAPTER };
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
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Paths that were asked for. */
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}

/** A visitor's browser: what it stores is one for all its tabs, and nobody else's. */
export class Visitor {
  faults = [];

  constructor(context, site) {
    this.context = context;
    this.site = site;
  }

  static async arrive(browser, site) {
    return new Visitor(await browser.newContext(), site);
  }

  /** A tab with the package's page. */
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

/** One tab. Methods of the recommender are called by name, errors come as `{ code, name }`. */
export class Tab {
  constructor(page) {
    this.page = page;
  }

  /** Opens a recommender; resolves with its state, or `{ error }`. */
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

  /** What listeners were told so far under a name. */
  told(name) {
    return this.page.evaluate(
      (wanted) =>
        window.seen.filter((event) => event.name === wanted).map(({ payload }) => payload),
      name,
    );
  }

  /** Waits until an expression of the page is true; the policy forbids asking it to wait. */
  async until(expression, timeout = 20_000) {
    const end = Date.now() + timeout;
    while (!(await this.page.evaluate(expression))) {
      if (Date.now() > end) throw new Error(`waited in vain for ${expression}`);
      await this.page.waitForTimeout(50);
    }
  }

  /** Waits until everything is learnt from and kept. */
  async atRest(steps) {
    await this.until(`window.rec.state().learned?.step >= ${steps}`);
    await this.page.waitForTimeout(1_500);
  }

  /** Waits for a list of candidates. */
  async listed() {
    const { items } = await this.call('recommend');
    if (items.length > 0) return;
    await this.until(
      `window.seen.some(({ name, payload }) => name === 'update' && payload.items.length > 0)`,
    );
  }

  /** Waits until so many workers are left: of one that was ended, the browser tells later. */
  async workersLeft(count, timeout = 20_000) {
    const end = Date.now() + timeout;
    while (this.page.workers().length !== count) {
      if (Date.now() > end) throw new Error(`${this.page.workers().length} workers are left`);
      await this.page.waitForTimeout(50);
    }
  }

  /** Ends the page's worker as the browser would for want of memory: without a word. */
  async killWorker() {
    const [worker] = this.page.workers();
    await worker.evaluate(() => self.close()).catch(() => undefined);
  }

  /** Why updates were sent so far. */
  async causes() {
    return (await this.told('update')).map(({ cause }) => cause);
  }

  /** Codes of the errors that listeners were told of. */
  async codes() {
    return (await this.told('error')).map(({ code }) => code);
  }

  /** The items of the session, without asking the worker. */
  history() {
    return this.page.evaluate(() => window.rec.state().history);
  }

  /** Stops all that happens in the tab, as a browser does to one that is not looked at. */
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
