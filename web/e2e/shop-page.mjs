import { outputFile } from './environment.mjs';

/** Timeout for work on the device, on the slowest backend. */
const DEVICE_MS = 90_000;
/** Timeout for requests: the server itself stops after 20 s. */
const SERVER_MS = 30_000;

/** The demo in one tab, driven through its buttons and read through `window.__tandem`. */
export class ShopPage {
  /** Script errors of the page. */
  faults = [];
  /** Responses of `/v1/candidates`, each with its request. */
  #responses = [];
  /** Requests of Tandem for lists, answered or not. Those of the other side name no release. */
  calls = 0;

  constructor(page) {
    this.page = page;
    page.on('request', (request) => {
      if (new URL(request.url()).pathname !== '/v1/candidates') return;
      if (request.method() === 'POST' && 'release' in request.postDataJSON()) this.calls += 1;
    });
    page.on('pageerror', (error) => this.faults.push(error.message));
    page.on('response', (response) => {
      const asked = response.request();
      if (new URL(response.url()).pathname !== '/v1/candidates') return;
      if (asked.method() !== 'POST' || !response.ok()) return;
      // Read immediately: the browser discards bodies after a while.
      const parsed = response.json().then(
        ({ candidates }) => ({ request: asked.postDataJSON(), candidates }),
        (error) => ({ unread: error.message }),
      );
      this.#responses.push(parsed);
    });
    page.on('crash', () => this.faults.push('the tab crashed'));
  }

  /**
   * Opens the page in a new context without storage or cache, and without the delay that the page
   * adds on the machine of its server.
   */
  static async open(browser, url) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
    const shop = new ShopPage(await context.newPage());
    const address = new URL(url);
    address.searchParams.set('delay', '0');
    await shop.page.goto(address.href);
    return shop;
  }

  /** Waits until the small model is there and films are displayed. */
  async ready() {
    if ((await this.event('ready')) === null) throw new Error('the small model is not there');
    await this.card().first().waitFor({ timeout: DEVICE_MS });
  }

  /** Opens the drawer with the internals, or closes it. */
  async internals(open) {
    const handle = this.part('internals');
    if ((await handle.getAttribute('aria-expanded')) !== String(open)) await handle.click();
  }

  close() {
    return this.page.context().close();
  }

  /** An element by its test id. */
  part(id) {
    return this.page.getByTestId(id);
  }

  /** All recommended films, or the one with the given id. */
  card(item) {
    const which = item === undefined ? '' : `[data-item="${item}"]`;
    return this.page.locator(`[data-testid="card"]${which}`);
  }

  /** Item ids on the shelf in display order. */
  shelf() {
    return this.card().evaluateAll((cards) => cards.map((card) => card.dataset.item));
  }

  /** Events so far: `{ name, payload, at }`. */
  events() {
    return this.page.evaluate(() => structuredClone(window.__tandem?.events ?? []));
  }

  /** Candidate lists so far: `{ request, candidates }`, or `{ unread }` with the parse error. */
  responses() {
    return Promise.all(this.#responses);
  }

  lastUpdate() {
    return this.page.evaluate(() => structuredClone(window.__tandem?.lastUpdate ?? null));
  }

  /** Milliseconds since navigation start. */
  now() {
    return this.page.evaluate(() => performance.now());
  }

  /**
   * The first event after `since` with this name whose payload has the fields of `like`
   * (`'some'` matches any non-empty list); `null` after `timeout` milliseconds.
   */
  async event(name, { like = {}, since = 0, timeout = DEVICE_MS } = {}) {
    const found = this.page.waitForFunction(
      ({ name, like, since }) =>
        structuredClone(
          window.__tandem?.events.find(
            (event) =>
              event.name === name &&
              event.at > since &&
              Object.entries(like).every(([key, value]) =>
                value === 'some' ? event.payload[key]?.length > 0 : event.payload[key] === value,
              ),
          ) ?? null,
        ),
      { name, like, since },
      { timeout },
    );
    const handle = await found.catch((error) => {
      if (error.name === 'TimeoutError') return null;
      throw error;
    });
    return handle?.jsonValue() ?? null;
  }

  /**
   * Clicks a recommended film and waits for the re-ranked list, for the new list if one was
   * requested, and for the learning step if there is one.
   */
  async watch(item, { learnMs = DEVICE_MS } = {}) {
    const before = await this.lastUpdate();
    const since = await this.now();
    await this.card(item).click();
    const update = await this.event('update', { like: { cause: 'event' }, since });
    if (update === null) throw new Error(`no update after the click on film ${item}`);
    const asked = update.payload.decision.action === 'request';
    // The first click is not learnt from: there is no history to predict it from.
    const teaches = before !== null && before.history.length > 0;
    const [request, learn] = await Promise.all([
      asked
        ? this.event('update', { like: { cause: 'request' }, since, timeout: SERVER_MS })
        : null,
      teaches ? this.event('learn', { since, timeout: learnMs }) : null,
    ]);
    return { before, update: update.payload, request: request?.payload ?? null, learn };
  }

  /** Takes a screenshot of the whole page. */
  async screenshot(name) {
    // Scrolls to the top, where the sticky header covers nothing.
    await this.page.evaluate(() => window.scrollTo({ top: 0, behavior: 'instant' }));
    const path = outputFile(`${name}.png`);
    await this.page.screenshot({ path, fullPage: true, animations: 'disabled' });
  }

  /** Takes screenshots: wide and narrow, light and dark. */
  async screenshots(name) {
    const before = this.page.viewportSize();
    for (const [width, size] of [
      ['wide', { width: 1440, height: 1000 }],
      ['narrow', { width: 390, height: 844 }],
    ]) {
      await this.page.setViewportSize(size);
      for (const colorScheme of ['light', 'dark']) {
        await this.page.emulateMedia({ colorScheme });
        await this.screenshot(`${name}-${width}-${colorScheme}`);
      }
    }
    await this.page.emulateMedia({ colorScheme: null });
    await this.page.setViewportSize(before);
  }
}
