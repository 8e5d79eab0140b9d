import { evidence } from './environment.mjs';

/** Longest wait for the device and the cloud together, on a busy machine. */
const PATIENCE_MS = 90_000;

/** An example in one tab: what it shows, and whatever the browser has to complain about. */
export class ExamplePage {
  /** Errors of scripts, errors and warnings of the console, requests that failed. */
  complaints = [];

  constructor(page) {
    this.page = page;
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      this.complaints.push(`${message.text()} (${message.location().url})`);
    });
    page.on('requestfailed', (request) => {
      this.complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
    });
  }

  static async open(browser, url) {
    const context = await browser.newContext({ viewport: { width: 900, height: 600 } });
    // Browsers ask for it unbidden.
    await context.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
    const example = new ExamplePage(await context.newPage());
    await example.page.goto(url);
    return example;
  }

  /** Waits for the first list; its items in the order shown. */
  async firstList() {
    const first = this.page.locator('ol button').first();
    await first.waitFor({ timeout: PATIENCE_MS }).catch(async (cause) => {
      const complaints = this.complaints.join('; ');
      throw new Error(`no list: “${await this.status()}”; ${complaints}`, { cause });
    });
    return this.items();
  }

  items() {
    const buttons = this.page.locator('ol button');
    return buttons.evaluateAll((shown) => shown.map(({ dataset }) => dataset.item));
  }

  /** Clicks on an item and waits until the list that no longer has it is shown. */
  async click(item) {
    const button = this.page.locator(`ol button[data-item="${item}"]`);
    await button.click();
    await button.waitFor({ state: 'detached', timeout: PATIENCE_MS });
  }

  status() {
    return this.page.getByRole('status').textContent();
  }

  /** Waits until the status matches. */
  async says(pattern) {
    const status = this.page.getByRole('status').filter({ hasText: pattern });
    await status.waitFor({ timeout: PATIENCE_MS });
    return this.status();
  }

  screenshot(name) {
    return this.page.screenshot({ path: evidence(`${name}.png`), fullPage: true });
  }

  close() {
    return this.page.context().close();
  }
}
