/** What is measured of the whole package in a page, not of the model alone. */
import { Cloud } from '../e2e/cloud.mjs';
import { memoryAfterClicks } from '../e2e/memory.mjs';
import { servePackage, Visitor } from '../e2e/package-page.mjs';
import { callInFreshPage } from './browser.mjs';

const COLD_STARTS = 9;

/** Films of MovieLens-100k: as many items as the demo's catalogue has. */
const CATALOGUE = { count: 1_682 };

/** Clicks after which memory is measured, in each of so many visits. */
const MARKS = [100, 1_000];
const VISITS = 3;

/**
 * Milliseconds to the first list, each in a page of its own, by turns.
 *
 * @param {import('playwright-core').Browser} browser
 * @param {{ url: string }} server
 * @param {string[]} names
 * @returns {Promise<Record<string, number[]>>} by `cold <contestant>`
 */
export async function coldStarts(browser, server, names) {
  const cloud = await Cloud.start(CATALOGUE);
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
 * What page, worker and WebAssembly hold after 100 and after 1,000 clicks, everything learnt
 * and kept, and what was not needed any more collected: the visit in the middle at each mark.
 * (The memory of WebAssembly never shrinks, so that it tells of its busiest moment.)
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
  const [cloud, site] = await Promise.all([Cloud.start(CATALOGUE), servePackage()]);
  const visitor = await Visitor.arrive(browser, site);
  try {
    const options = { server: cloud.url, consent: true };
    return await memoryAfterClicks(await visitor.tab(), options, cloud.items, MARKS);
  } finally {
    await visitor.leave();
    await Promise.all([cloud.close(), site.close()]);
  }
}
