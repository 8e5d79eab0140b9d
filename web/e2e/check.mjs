/**
 * Plays a scripted session in Chromium, on the CPU and on WebGPU: `cargo xtask demo --check`.
 *
 * Writes the result of each assertion to standard error and one JSON object with the
 * measurements as the last line of standard output. Exit status 0 if all assertions pass.
 */
import { Assertions } from './assertions.mjs';
import { launch } from './browser.mjs';
import { outputFile, serverUrl } from './environment.mjs';
import { median, rounded, session } from './session.mjs';

const SCRIPT = [
  { device: 'cpu', clicks: 12 },
  { device: 'webgpu', clicks: 4 },
];

async function main() {
  const url = serverUrl();
  const assertions = new Assertions();
  const sessions = {};
  const items = await catalogueOf(url, assertions);
  const catalogue = new Set(items);
  for (const { device, clicks } of SCRIPT) {
    try {
      // One browser per device, so that a crash does not affect the other session.
      const browser = await launch({ webgpu: device === 'webgpu' });
      try {
        sessions[device] = await session(browser, { url, device, clicks, catalogue, assertions });
      } finally {
        await browser.close();
      }
    } catch (error) {
      assertions.check(`${device}: the session ran to the end`, false, error.stack);
    }
  }
  assertions.write(outputFile('assertions.json'));
  console.log(JSON.stringify(report(assertions, items.length, sessions)));
  process.exitCode = assertions.allPassed ? 0 : 1;
}

/** Ids of all films in the items file of the artefacts. */
async function catalogueOf(url, assertions) {
  const answer = await fetch(`${url}/v1/manifest`);
  const manifest = await answer.json();
  const file = `artifacts/${answer.headers.get('x-artifacts')}/${manifest.items.path}`;
  const items = (await (await fetch(`${url}/${file}`)).json()).map(({ item }) => item);
  const stated = manifest.catalogue.items;
  assertions.check(
    'the items file contains the number of films that the manifest states, without duplicates',
    items.length === stated && new Set(items).size === stated,
    `${items.length} listed, ${new Set(items).size} distinct, ${stated} stated`,
  );
  return items;
}

function report(assertions, catalogue, sessions) {
  const all = Object.values(sessions);
  const complete = all.length === SCRIPT.length;
  return {
    ok: assertions.allPassed,
    catalogue,
    candidates_valid:
      complete && all.every(({ unknown, repeated }) => unknown.length + repeated === 0),
    seen_recommended: all.reduce((total, { seen }) => total + seen.length, 0),
    devices: Object.fromEntries(
      Object.entries(sessions).map(([device, { figures }]) => [device, figures]),
    ),
    llm: {
      name: all.find(({ model }) => model !== null)?.model ?? null,
      ms_p50: rounded(median(all.flatMap(({ serverMs }) => serverMs))),
    },
    decisions: sessions.cpu?.decisions ?? [],
  };
}

await main();
