import { chromium } from 'playwright-core';

const QUIET = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Headless Chromium: `$CHROMIUM`, or Debian's default path. */
export function launch({ webgpu }) {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] || '/usr/bin/chromium',
    args: webgpu ? [...QUIET, '--enable-unsafe-webgpu'] : QUIET,
  });
}

/**
 * Opens `url` in a new context, waits until the page defines the function `name`, calls it and
 * returns its result. Console output of the page goes to standard error.
 */
export async function callInFreshPage(browser, url, name, parameter) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const faults = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (line) => {
      if (line.type() === 'info') console.error(`  ${line.text()}`);
      if (line.type() === 'error') faults.push(line.text());
    });
    await page.goto(url);
    try {
      await page.waitForFunction((name) => name in globalThis, name, { timeout: 30_000 });
      return await page.evaluate(
        ([name, parameter]) => globalThis[name](parameter),
        [name, parameter],
      );
    } catch (error) {
      throw new Error([error.message, ...faults].join('\n  '), { cause: error });
    }
  } finally {
    await context.close();
  }
}
