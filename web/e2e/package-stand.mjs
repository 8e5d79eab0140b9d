import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { launch } from './browser.mjs';
import { Cloud } from './cloud.mjs';
import { servePackage, Visitor } from './package-page.mjs';

/**
 * What every test of a file is given: a browser and a site for the whole file, and for each
 * test a cloud and a visitor of its own, whose pages may throw nothing that nobody catches.
 */
export class Stand {
  browser;
  site;
  /** @type {Cloud} */
  cloud;
  /** @type {Visitor} */
  visitor;

  /**
   * Sees to its own setting up and clearing away; to be called once a file.
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
      this.cloud = await Cloud.start();
      this.visitor = await Visitor.arrive(this.browser, this.site);
    });
    afterEach(async () => {
      await this.visitor.leave();
      await this.cloud.close();
      assert.deepEqual(this.visitor.faults, []);
    });
  }

  /** A tab with a list of candidates and two clicks on it. */
  async shopping(options = {}, tabOptions = {}) {
    const tab = await this.visitor.tab(tabOptions);
    await tab.open({ server: this.cloud.url, ...options });
    await tab.listed();
    await tab.click('i60');
    await tab.click('i61');
    return tab;
  }
}
