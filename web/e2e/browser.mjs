import { chromium } from 'playwright-core';

/** Options without requests and questions of the browser's own. */
export const QUIET = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Headless Chromium: `$CHROMIUM`, or Debian's default path. With `webgpu`, machines without a
 * GPU get a software adapter (correct results, slow). `backForwardCache`: keeps pages that are
 * left, as browsers do by default; Playwright switches that off.
 */
export function launch({ webgpu = false, backForwardCache = false } = {}) {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] || '/usr/bin/chromium',
    args: webgpu ? [...QUIET, '--enable-unsafe-webgpu'] : QUIET,
    ...(backForwardCache ? { ignoreDefaultArgs: ['--disable-back-forward-cache'] } : {}),
  });
}
