/** The package as published: its files, its exports, its size. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { reference, referenceFile } from './api.mjs';
import { limits, measured, readme, readmeTotals } from './sizes.mjs';
import { composition, crateOf } from './wasm-composition.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));

let scratch;
let files;
let tarball;
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tandem-package-'));
  const options = ['--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', scratch];
  const { stdout } = await run('npm', ['pack', ...options], { cwd: root });
  const [packed] = Object.values(JSON.parse(stdout));
  files = packed.files.map(({ path }) => path);
  tarball = new Uint8Array(await readFile(join(scratch, packed.filename)));
});
after(() => rm(scratch, { recursive: true, force: true }));

const ROOT_FILES = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json'];
const FOLDERS = [
  // `cargo xtask dist` writes it: the licences of what the wasm modules contain.
  /^LICENSE-DEPENDENCIES\.txt$/,
  /^dist\/tandem\.(global|worker|cpu|webgpu)\.js(\.map)?$/,
  /^dist\/(page|shared|worker|adapters)\/[a-z-]+\.(d\.ts|js)(\.map)?$/,
  /^docs\/[a-z]+\.md$/,
  /^src\/(page|shared|worker|adapters)\/([a-z-]+(\.d)?\.ts|tsconfig\.json)$/,
  /^wasm\/(cpu|webgpu)\/tandem(\.js|\.d\.ts|_bg\.wasm|_bg\.wasm\.d\.ts)$/,
];

test('the tarball has the expected files and no others', () => {
  const stray = files.filter(
    (file) => !ROOT_FILES.includes(file) && !FOLDERS.some((folder) => folder.test(file)),
  );
  assert.deepEqual(stray, []);
  const scripts = ['global', 'worker', 'cpu', 'webgpu'].map((part) => `dist/tandem.${part}.js`);
  const modules = ['cpu', 'webgpu'].flatMap((device) =>
    ['tandem.js', 'tandem.d.ts', 'tandem_bg.wasm'].map((file) => `wasm/${device}/${file}`),
  );
  const docs = ['api', 'frameworks', 'privacy', 'troubleshooting'].map((page) => `docs/${page}.md`);
  const needed = [...ROOT_FILES, ...scripts, ...modules, ...docs];
  assert.deepEqual(
    needed.filter((file) => !files.includes(file)),
    [],
  );
});

test('the package knows its own version', async () => {
  const { VERSION } = await import('../dist/shared/names.js');
  assert.equal(VERSION, manifest.version);
});

test('every script has a source map, and every map a script', () => {
  const scripts = files.filter((file) => /^dist\/.*\.js$/.test(file));
  const maps = files.filter((file) => /^dist\/.*\.js\.map$/.test(file));
  assert.deepEqual(maps, scripts.map((file) => `${file}.map`).sort());
});

test('nothing is fetched from other hosts, compiled from strings or started from a blob', async () => {
  for (const file of files.filter((name) => /^(dist|wasm)\/.*\.js$/.test(name))) {
    const text = await readFile(join(root, file), 'utf8');
    // A reserved name that no request can reach: the key of files in the cache of pages without
    // an http address.
    const code = text
      .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
      .replaceAll('https://tandem.invalid/', '');
    const forbidden = /\beval\(|new Function\(|createObjectURL|https?:\/\//.exec(code)?.[0];
    assert.equal(forbidden, undefined, `${file} has ${forbidden}`);
  }
});

test('publint finds no problem', async () => {
  const { messages } = await publint({ pkgDir: root, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, manifest, { color: false })),
    [],
  );
});

test('the types resolve for everyone who can import a module', async () => {
  const { problems } = await checkPackage(createPackageFromTarballData(tarball));
  // A package of ES modules only, as in attw's profile `esm-only`.
  const others = ['node10', 'node16-cjs'];
  const ours = problems.filter(({ resolutionKind }) => !others.includes(resolutionKind));
  assert.deepEqual(ours, []);
});

test('it can be imported in Node, where only creating a recommender is refused', async () => {
  const { createRecommender, Recommender, TandemError } = await import('@tandem-rec/client');
  assert.equal(Recommender.isSupported(), false);
  assert.equal(Recommender.missingFeature(), 'worker');
  await assert.rejects(createRecommender({ server: 'http://127.0.0.1:1' }), (error) => {
    assert.ok(error instanceof TandemError);
    assert.equal(error.code, 'unsupported');
    assert.match(error.message, /found an environment without workers/);
    return true;
  });
});

for (const [name, exported] of [
  ['react', ['TandemProvider', 'useRecommendations', 'useTandem']],
  ['vue', ['createTandem', 'useRecommendations', 'useTandem']],
  ['svelte', ['createTandem']],
  ['element', ['TandemListElement']],
]) {
  test(`the adapter ${name} can be imported in Node`, async () => {
    const adapter = await import(`@tandem-rec/client/${name}`);
    assert.deepEqual(Object.keys(adapter), exported);
  });
}

test('the exports resolve by name', async () => {
  for (const name of ['worker', 'package.json', 'wasm/cpu/tandem_bg.wasm']) {
    const file = fileURLToPath(import.meta.resolve(`@tandem-rec/client/${name}`));
    assert.ok((await readFile(file)).length > 0, name);
  }
  assert.throws(() => import.meta.resolve('@tandem-rec/client/dist/page/channel.js'), {
    code: 'ERR_PACKAGE_PATH_NOT_EXPORTED',
  });
});

test('the API reference is up to date (`npm run docs` in pkg writes it)', async () => {
  assert.equal(await readFile(referenceFile, 'utf8'), reference());
});

for (const [load, { limit }] of Object.entries(limits)) {
  test(`${load}: at most ${limit} KB after Brotli`, async () => {
    const { total } = (await measured())[load];
    assert.ok(total <= limit * 1000, `${total} bytes, more than ${limit} KB`);
  });
}

test('the sizes in the README are up to date (`npm run sizes` in pkg writes them)', async () => {
  const told = readmeTotals(await readFile(readme, 'utf8'));
  for (const [load, { total }] of Object.entries(await measured())) {
    const apart = Math.abs(told[load] * 1000 - total) / total;
    assert.ok(apart < 0.05, `${load}: ${told[load]} KB told, ${total} bytes measured`);
  }
});

test('a function counts for the first crate in its name', () => {
  assert.equal(crateOf('burn_flex::ops::add::h0123'), 'burn_flex');
  assert.equal(crateOf('<gemm_f32::Plan as core::clone::Clone>::clone'), 'gemm_f32');
  assert.equal(crateOf('std[a543996e]::io::print'), 'std');
  assert.equal(crateOf('memcpy'), null);
});

test('the parts of a module add up to its sections', () => {
  const text = (value) => [value.length, ...Buffer.from(value)];
  const section = (id, bytes) => [id, bytes.length, ...bytes];
  const module = Buffer.from([
    ...[0, 97, 115, 109, 1, 0, 0, 0],
    // One imported function, so that the first of the module's own is number 1.
    ...section(2, [1, ...text('a'), ...text('b'), 0, 0]),
    ...section(10, [3, 2, 0, 11, 4, 0, 1, 1, 11, 2, 0, 11]),
    ...section(11, [1, 0, 0]),
    ...section(0, [
      ...text('name'),
      ...section(1, [2, 1, ...text('burn_flex::add'), 2, ...text('<core::Option>::take')]),
    ]),
  ]);
  const found = Object.entries(composition(module)).filter(([, bytes]) => bytes > 0);
  assert.deepEqual(
    found.map(([, bytes]) => bytes),
    [2, 4, 2, 3, 7],
  );
  assert.match(found[0][0], /Burn/);
  assert.match(found[1][0], /Rust/);
});
