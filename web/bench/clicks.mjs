/** Time of a whole click in the package: encode, search, fuse. */
import { FakeServer } from '../e2e/fake-server.mjs';
import { Memory } from '../e2e/memory.mjs';
import { servePackage, Visitor } from '../e2e/package-page.mjs';
import { ISOLATION } from './server.mjs';

/** Clicks before the measurement: the length of the history. */
const WARM_UP = 30;

/**
 * Plays a session with the built package and measures its clicks. After each click the learning
 * step is awaited, so that it does not delay the next one.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {{ catalogue: object, options?: object, clicks: number }} plan `catalogue`: see
 *   `release` in `fake-release.mjs`; `options`: options of the recommender
 * @returns {Promise<{ device: number[], page: number[], wasm: number, cellBytes: number }>}
 *   milliseconds per click in the worker (`timings.rerankMs`) and on the page (`track()`); bytes
 *   of WebAssembly memory; bytes of the cells that were downloaded
 */
export async function clickTimes(browser, { catalogue, options = {}, clicks }) {
  const [server, site] = await Promise.all([
    FakeServer.start(catalogue),
    servePackage({ headers: ISOLATION }),
  ]);
  const visitor = await Visitor.arrive(browser, site);
  try {
    const tab = await visitor.tab();
    const memory = await Memory.of(tab.page);
    const opened = await tab.open({ server: server.url, ...options });
    if (opened.error !== undefined) throw new Error(`opening: ${opened.error.message}`);
    await tab.listed();
    const samples = await tab.page.evaluate(playClicks, { warmUp: WARM_UP, clicks });
    const { wasm } = await memory.measure();
    return { ...samples, wasm, cellBytes: server.cellBytes };
  } finally {
    await visitor.leave();
    await Promise.all([server.close(), site.close()]);
  }
}

/** Runs on the page: clicks the item at a rotating position of the list. */
async function playClicks({ warmUp, clicks }) {
  const samples = { device: [], page: [] };
  let { items } = await window.rec.recommend();
  let learnt = () => {};
  window.rec.on('learn', () => learnt());
  for (let click = 0; click < warmUp + clicks; click += 1) {
    const { item } = items[(click * 7) % Math.min(items.length, 20)];
    const learning = Promise.race([
      new Promise((resolve) => {
        learnt = resolve;
      }),
      new Promise((resolve) => setTimeout(resolve, 500)),
    ]);
    const start = performance.now();
    const update = await window.rec.track({ type: 'click', item });
    const ms = performance.now() - start;
    if (click >= warmUp) {
      samples.device.push(update.timings.rerankMs);
      samples.page.push(ms);
    }
    await learning;
    ({ items } = await window.rec.recommend());
  }
  return samples;
}
