/** Measurements of the whole package on a page, not of the model alone. */
import { FakeServer } from '../e2e/fake-server.mjs';
import { memoryAfterClicks } from '../e2e/memory.mjs';
import { servePackage, Visitor } from '../e2e/package-page.mjs';
import { callInFreshPage } from './browser.mjs';

const COLD_STARTS = 9;

/** The catalogue size of the demo (MovieLens-100k). */
const CATALOGUE = { count: 1_682 };

/** Numbers of clicks after which memory is measured, and number of visits. */
const MARKS = [100, 1_000];
const VISITS = 3;

/**
 * Milliseconds to the first list, each on a new page, in alternating order.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {{ url: string }} server
 * @param {string[]} names
 * @returns {Promise<Record<string, number[]>>} by `cold <runtime>`
 */
export async function coldStarts(browser, server, names) {
  const cloud = await FakeServer.start(CATALOGUE);
  const samples = Object.fromEntries(names.map((name) => [`cold ${name}`, []]));
  try {
    for (let turn = 0; turn < COLD_STARTS; turn += 1) {
      for (let at = 0; at < names.length; at += 1) {
        const name = names[(at + turn) % names.length];
        const page = `${server.url}/page/cold.html`;
        const ms = await callInFreshPage(browser, page, 'coldStart', { name, cloud: cloud.url });
        samples[`cold ${name}`].push(ms);
      }
    }
  } finally {
    await cloud.close();
  }
  return samples;
}

/**
 * Memory of page, worker and WebAssembly after 100 and 1,000 clicks, once learning, saving and
 * garbage collection have finished: the median visit at each mark. WebAssembly memory never
 * shrinks, so its value is the peak.
 *
 * @param {import('playwright-core').Browser} browser
 * @returns {Promise<{ clicks: number, page: number, worker: number, wasm: number,
 *   total: number }[]>} bytes
 */
export async function memory(browser) {
  const visits = [];
  for (let visit = 0; visit < VISITS; visit += 1) visits.push(await oneVisit(browser));
  return MARKS.map((clicks, at) => {
    const found = visits.map((marks) => marks[at]).sort((a, b) => a.total - b.total);
    return { clicks, ...found[VISITS >> 1] };
  });
}

async function oneVisit(browser) {
  const [cloud, site] = await Promise.all([FakeServer.start(CATALOGUE), servePackage()]);
  const visitor = await Visitor.arrive(browser, site);
  try {
    const options = { server: cloud.url, consent: true };
    return await memoryAfterClicks(await visitor.tab(), options, cloud.items, MARKS);
  } finally {
    await visitor.leave();
    await Promise.all([cloud.close(), site.close()]);
  }
}
