/** A small screen on a slow line, where a layout that is not stable shows. */
export const PHONE = { width: 360, height: 740 };

/** Slows the line of a page down and counts its layout shifts; before it is opened. */
export async function slowPhone(page) {
  await page.addInitScript(() => {
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (!entry.hadRecentInput) window.shift += entry.value;
      }
    }).observe({ type: 'layout-shift', buffered: true });
  });
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 150,
    downloadThroughput: 200_000,
    uploadThroughput: 100_000,
  });
}

/** Cumulative layout shift so far, without shifts that a visitor brought about. */
export const layoutShift = (page) => page.evaluate(() => window.shift);

/** Pixels by which the page is wider than the window. */
export const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
