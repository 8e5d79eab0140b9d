import { evidence } from './environment.mjs';

/** Longest wait for anything that only the device does, on the slowest device. */
const DEVICE_MS = 90_000;
/** Longest wait for the cloud: the server itself gives up after 20 s. */
const CLOUD_MS = 30_000;

/** The film shop in one tab, driven by its buttons and read by `window.__tandem`. */
export class ShopPage {
  /** What went wrong in the page's own scripts. */
  faults = [];
  /** Answers of `/v1/candidates` that the page got, each with what was asked for. */
  #answers = [];

  constructor(page) {
    this.page = page;
    page.on('pageerror', (error) => this.faults.push(error.message));
    page.on('response', (response) => {
      const asked = response.request();
      if (new URL(response.url()).pathname !== '/v1/candidates') return;
      if (asked.method() !== 'POST' || !response.ok()) return;
      // Read at once: the browser does not keep bodies for long.
      const answer = response.json().then(
        ({ candidates }) => ({ request: asked.postDataJSON(), candidates }),
        (error) => ({ unread: error.message }),
      );
      this.#answers.push(answer);
    });
    page.on('crash', () => this.faults.push('the tab crashed'));
  }

  /** Opens the shop in a tab of its own, with nothing stored or cached. */
  static async open(browser, url) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
    const shop = new ShopPage(await context.newPage());
    await shop.page.goto(url);
    return shop;
  }

  /** Waits until there are films to click on. */
  async ready() {
    await this.card().first().waitFor({ timeout: DEVICE_MS });
  }

  close() {
    return this.page.context().close();
  }

  /** An element by its test id. */
  part(id) {
    return this.page.getByTestId(id);
  }

  /** The recommended films, or one of them. */
  card(item) {
    const which = item === undefined ? '' : `[data-item="${item}"]`;
    return this.page.locator(`[data-testid="card"]${which}`);
  }

  /** Ids on the shelf, in the order shown. */
  shelf() {
    return this.card().evaluateAll((cards) => cards.map((card) => card.dataset.item));
  }

  /** All that happened so far: `{ name, payload, at }`. */
  events() {
    return this.page.evaluate(() => structuredClone(window.__tandem?.events ?? []));
  }

  /** The server's lists so far: `{ request, candidates }`, or `{ unread }` with the reason. */
  answers() {
    return Promise.all(this.#answers);
  }

  lastUpdate() {
    return this.page.evaluate(() => structuredClone(window.__tandem?.lastUpdate ?? null));
  }

  /** Milliseconds since the page was opened, by the page's clock. */
  now() {
    return this.page.evaluate(() => performance.now());
  }

  /**
   * The first event after `since` that is called `name` and has what `like` has in its
   * payload (`'some'` for any list that is not empty); `null` when `timeout` is over.
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
   * Clicks on a recommended film and waits for what comes of it: the list ranked again, the
   * new list if the device asked for one, and the learning step if there was one.
   */
  async watch(item, { learnMs = DEVICE_MS } = {}) {
    const before = await this.lastUpdate();
    const since = await this.now();
    await this.card(item).click();
    const update = await this.event('update', { like: { cause: 'event' }, since });
    if (update === null) throw new Error(`nothing was ranked after a click on film ${item}`);
    const asked = update.payload.decision.action === 'request';
    // The first click has no history that it could have been foretold from.
    const teaches = before !== null && before.history.length > 0;
    const [request, learn] = await Promise.all([
      asked ? this.event('update', { like: { cause: 'request' }, since, timeout: CLOUD_MS }) : null,
      teaches ? this.event('learn', { since, timeout: learnMs }) : null,
    ]);
    return { before, update: update.payload, request: request?.payload ?? null, learn };
  }

  /** Keeps a picture of the whole page. */
  async screenshot(name) {
    // The header sticks to the window: at the top it hides nothing.
    await this.page.evaluate(() => window.scrollTo({ top: 0, behavior: 'instant' }));
    const path = evidence(`${name}.png`);
    await this.page.screenshot({ path, fullPage: true, animations: 'disabled' });
  }

  /** Keeps pictures on a wide and a narrow screen, in light and in dark. */
  async portraits(name) {
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
