import { chromium } from 'playwright-core';

const QUIET = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * A Chromium without a window: `$CHROMIUM`, or where Debian puts it. With `webgpu` it offers
 * an adapter even where there is no graphics card: right results, slowly.
 */
export function launch({ webgpu = false } = {}) {
  return chromium.launch({
    executablePath: process.env['CHROMIUM'] || '/usr/bin/chromium',
    args: webgpu ? [...QUIET, '--enable-unsafe-webgpu'] : QUIET,
  });
}
