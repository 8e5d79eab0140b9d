import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { launch } from './browser.mjs';
import { FakeServer } from './fake-server.mjs';
import { servePackage, Visitor } from './package-page.mjs';

/**
 * Test fixture: one browser and one site per file, a new fake server and visitor per test.
 * Each test fails if a page of its visitor had an uncaught error.
 */
export class Fixture {
  browser;
  site;
  /** @type {FakeServer} */
  server;
  /** @type {Visitor} */
  visitor;

  /**
   * Registers set-up and tear-down hooks; to be called once per file.
   *
   * @param {Parameters<typeof launch>[0]} [options]
   */
  constructor(options) {
    before(async () => {
      [this.browser, this.site] = await Promise.all([launch(options), servePackage()]);
    });
    after(async () => {
      await this.browser?.close();
      await this.site?.close();
    });
    beforeEach(async () => {
      this.server = await FakeServer.start();
      this.visitor = await Visitor.arrive(this.browser, this.site);
    });
    afterEach(async () => {
      await this.visitor.leave();
      await this.server.close();
      assert.deepEqual(this.visitor.faults, []);
    });
  }

  /** Opens a tab with a candidate list and two clicks. */
  async tabWithClicks(options = {}, tabOptions = {}) {
    const tab = await this.visitor.tab(tabOptions);
    await tab.open({ server: this.server.url, ...options });
    await tab.listed();
    await tab.click('i60');
    await tab.click('i61');
    return tab;
  }
}
