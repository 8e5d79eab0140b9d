import { outputFile } from './environment.mjs';

/** Timeout for device and server together, on a busy machine. */
const TIMEOUT_MS = 90_000;

/** An example in one tab, with the errors and warnings of the browser. */
export class ExamplePage {
  /** Script errors, console errors and warnings, failed requests. */
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
    // Browsers request the icon by themselves.
    await context.route('**/favicon.ico', (route) => route.fulfill({ status: 204 }));
    const example = new ExamplePage(await context.newPage());
    await example.page.goto(url);
    return example;
  }

  /** Waits for the first list and returns its items in display order. */
  async firstList() {
    const first = this.page.locator('ol button').first();
    await first.waitFor({ timeout: TIMEOUT_MS }).catch(async (cause) => {
      const complaints = this.complaints.join('; ');
      throw new Error(`no list: “${await this.status()}”; ${complaints}`, { cause });
    });
    return this.items();
  }

  items() {
    const buttons = this.page.locator('ol button');
    return buttons.evaluateAll((shown) => shown.map(({ dataset }) => dataset.item));
  }

  /** Clicks an item and waits until it has left the list. */
  async click(item) {
    const button = this.page.locator(`ol button[data-item="${item}"]`);
    await button.click();
    await button.waitFor({ state: 'detached', timeout: TIMEOUT_MS });
  }

  status() {
    return this.page.getByRole('status').textContent();
  }

  /** Waits until the status text matches `pattern`. */
  async says(pattern) {
    const status = this.page.getByRole('status').filter({ hasText: pattern });
    await status.waitFor({ timeout: TIMEOUT_MS });
    return this.status();
  }

  screenshot(name) {
    return this.page.screenshot({ path: outputFile(`${name}.png`), fullPage: true });
  }

  close() {
    return this.page.context().close();
  }
}
