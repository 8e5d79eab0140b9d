/**
 * The main path of the package in Chromium, and in Firefox if there is one. The page plays the
 * session itself and reports to the fake server, so the browsers need no driver.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { QUIET } from './browser.mjs';
import { FakeServer } from './fake-server.mjs';
import { servePackage } from './package-page.mjs';

/** Time for the browser to start and to play both visits, on a busy machine. */
const TIMEOUT_MS = 120_000;
const PAGE =
  '<!doctype html><title>Session</title><script type="module" src="/session.js"></script>';
const SCRIPT = `
  import { createRecommender, Recommender } from '/dist/page/index.js';
  const query = new URLSearchParams(location.search);
  const server = query.get('server');
  const problems = [];
  const note = ({ message, reason, violatedDirective }) =>
    problems.push(String(message ?? reason ?? violatedDirective));
  for (const kind of ['error', 'unhandledrejection', 'securitypolicyviolation']) {
    addEventListener(kind, note);
  }
  async function session() {
    const missing = Recommender.missingFeature();
    const rec = await createRecommender({ server, consent: true });
    rec.on('error', note);
    const learnt = new Promise((done) => rec.on('learn', done));
    const restored = rec.state().history;
    const first = await rec.recommend({ k: 12 });
    if (restored.length > 0) {
      rec.dispose();
      return { missing, restored };
    }
    for (const item of ['i60', 'i61']) await rec.track({ type: 'click', item });
    const { step } = await learnt;
    const later = await rec.recommend({ k: 12 });
    const undone = await rec.undo();
    const { device, storage, history } = rec.state();
    rec.dispose();
    const items = ({ items }) => items.map(({ item }) => item);
    return {
      missing, restored, step, device, storage, history, undone, agent: navigator.userAgent,
      first: items(first), later: items(later), reason: later.decision.reason,
    };
  }
  const result = await session().catch((error) => ({ failed: String(error) }));
  await fetch(server + '/result', {
    method: 'POST',
    body: JSON.stringify({ ...result, problems }),
  });
  if (query.get('visit') === '1') {
    query.set('visit', '2');
    location.search = query;
  }
`;
/** No pages of the first start, and no requests of its own. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.enabled': false,
  'browser.aboutwelcome.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.getAddons.cache.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.reportingpolicy.firstRun': false,
};

/** The first of these names on the `PATH`; `null` if there is none. */
function onPath(names) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = names.flatMap((name) => folders.map((folder) => join(folder, name)));
  return paths.find(isProgram) ?? null;
}

function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const BROWSERS = [
  {
    name: 'Chrome',
    variable: 'CHROMIUM',
    usual: ['chromium', 'chromium-browser', 'google-chrome'],
    options: (profile) => [...QUIET, '--headless', `--user-data-dir=${profile}`],
  },
  {
    name: 'Firefox',
    variable: 'FIREFOX',
    usual: ['firefox', 'firefox-esr'],
    options: (profile) => ['--headless', '--no-remote', '--profile', profile],
  },
];

for (const { name, variable, usual, options } of BROWSERS) {
  const program = process.env[variable] || onPath(usual);
  const skip = program === null && `no ${name} found: install it, or set the variable ${variable}`;
  test(`${name} ranks, learns, undoes, and restores the session`, { skip }, async () => {
    const [site, server, profile] = await Promise.all([
      servePackage({ pages: { '/session.html': PAGE, '/session.js': SCRIPT } }),
      FakeServer.start(),
      mkdtemp(join(tmpdir(), 'tandem-browser-')),
    ]);
    const lines = Object.entries(PREFERENCES).map(
      ([preference, value]) => `user_pref("${preference}", ${JSON.stringify(value)});`,
    );
    await writeFile(join(profile, 'user.js'), lines.join('\n'));
    const address = `${site.url}/session.html?visit=1&server=${encodeURIComponent(server.url)}`;
    const browser = spawn(program, [...options(profile), address], { stdio: 'ignore' });
    const ended = once(browser, 'exit');
    try {
      const [first, second] = await reports(server, 2);
      assert.ok(first.agent.includes(`${name}/`), first.agent);
      assert.equal(first.missing, null);
      assert.deepEqual(first.restored, []);
      assert.equal(first.step, 1);
      assert.equal(first.device, 'cpu');
      assert.equal(first.storage, 'device');
      assert.equal(new Set(first.first).size, 12);
      assert.equal(new Set(first.later).size, 12);
      assert.notDeepEqual(first.later, first.first);
      assert.match(first.reason, /\S/);
      assert.deepEqual(first.undone, { type: 'click', item: 'i61' });
      assert.deepEqual(first.history, ['i60']);
      assert.deepEqual(first.problems, []);
      assert.deepEqual(second, { missing: null, restored: ['i60'], problems: [] });
    } finally {
      browser.kill();
      await ended;
      await Promise.all([site.close(), server.close()]);
      // Its processes may still write for a moment.
      await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
    }
  });
}

/** Waits for `count` reports of the page. */
async function reports(server, count) {
  const end = Date.now() + TIMEOUT_MS;
  for (;;) {
    const found = server.posted('/result');
    const failed = found.find((report) => 'failed' in report);
    if (failed !== undefined) throw new Error(`the page failed: ${JSON.stringify(failed)}`);
    if (found.length >= count) return found;
    if (Date.now() > end) throw new Error(`${found.length} of ${count} reports arrived in time`);
    await pause(100);
  }
}
