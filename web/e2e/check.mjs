/**
 * A scripted session in a real Chromium, on the CPU and on WebGPU: `cargo xtask demo --check`.
 *
 * What holds and what does not is told on standard error; the last line of standard output is
 * one JSON object with what was measured. Exit status 0 only if all of it holds.
 */
import { launch } from './browser.mjs';
import { evidence, serverUrl } from './environment.mjs';
import { Findings } from './findings.mjs';
import { median, rounded, session } from './session.mjs';

const SCRIPT = [
  { device: 'cpu', clicks: 12 },
  { device: 'webgpu', clicks: 4 },
];

async function main() {
  const url = serverUrl();
  const findings = new Findings();
  const sessions = {};
  const items = await catalogueOf(url, findings);
  const catalogue = new Set(items);
  for (const { device, clicks } of SCRIPT) {
    try {
      // One browser a device: what a crash of one leaves behind is not the other's.
      const browser = await launch({ webgpu: device === 'webgpu' });
      try {
        sessions[device] = await session(browser, { url, device, clicks, catalogue, findings });
      } finally {
        await browser.close();
      }
    } catch (error) {
      findings.that(`${device}: the session was played to its end`, false, error.stack);
    }
  }
  findings.write(evidence('assertions.json'));
  console.log(JSON.stringify(report(findings, items.length, sessions)));
  process.exitCode = findings.allHold ? 0 : 1;
}

/** Ids of all films, as the artefacts have them. */
async function catalogueOf(url, findings) {
  const answer = await fetch(`${url}/v1/manifest`);
  const manifest = await answer.json();
  const file = `artifacts/${answer.headers.get('x-artifacts')}/${manifest.items.path}`;
  const items = (await (await fetch(`${url}/${file}`)).json()).map(({ item }) => item);
  const told = manifest.catalogue.items;
  findings.that(
    'the catalogue has as many films as the manifest says, each once',
    items.length === told && new Set(items).size === told,
    `${items.length} listed, ${new Set(items).size} distinct, ${told} told`,
  );
  return items;
}

function report(findings, catalogue, sessions) {
  const all = Object.values(sessions);
  const complete = all.length === SCRIPT.length;
  return {
    ok: findings.allHold,
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
