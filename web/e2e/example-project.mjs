import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { outputFile } from './environment.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const CLIENT = '@tandem-rec/client';
/** Folders that the tools of the examples write. */
const CACHES = ['.svelte-kit', '.next', '.angular'];

/**
 * Packs the client package and returns the path of the tarball. A workspace link is not enough:
 * bundlers treat linked sources differently from packages in `node_modules`, and files missing
 * from the tarball would not be noticed.
 */
export async function pack() {
  const to = outputFile('packed');
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  const options = ['--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', to];
  const { stdout } = await run('npm', ['pack', ...options], { cwd: join(root, 'pkg') });
  const [{ filename }] = Object.values(JSON.parse(stdout));
  return join(to, filename);
}

/**
 * Copies `examples/<name>` with the `node_modules` layout of `npm install`: the client from its
 * tarball (it has no dependencies), all other packages linked from this checkout. Returns the
 * folder of the copy.
 */
export async function install(name, tarball) {
  const folder = await copy(name);
  const modules = join(folder, 'node_modules');
  await unpack(tarball, modules);
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  for (const dependency of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
    if (dependency === CLIENT) continue;
    // In the example's own folder if the root has another version of a dependency of it.
    const own = join(root, 'examples', name, 'node_modules', dependency);
    const source = existsSync(own) ? own : join(root, 'node_modules', dependency);
    await mkdir(dirname(join(modules, dependency)), { recursive: true });
    await symlink(source, join(modules, dependency));
  }
  await symlink(join(root, 'node_modules/.bin'), join(modules, '.bin'));
  return folder;
}

/**
 * Copies an example that is no workspace of this repository, and installs the packages of its own
 * lock file, which lacks the client, and the client from its tarball.
 */
export async function installAlone(name, tarball) {
  const folder = await copy(name);
  const file = join(folder, 'package.json');
  const manifest = JSON.parse(await readFile(file, 'utf8'));
  delete manifest.dependencies[CLIENT];
  await writeFile(file, JSON.stringify(manifest));
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder });
  await unpack(tarball, join(folder, 'node_modules'));
  return folder;
}

async function copy(name) {
  const folder = join(outputFile('examples'), name);
  await rm(folder, { recursive: true, force: true });
  const excluded = new Set(
    ['dist', 'node_modules', ...CACHES].map((part) => join(root, 'examples', name, part)),
  );
  await cp(join(root, 'examples', name), folder, {
    recursive: true,
    filter: (source) => !excluded.has(source),
  });
  return folder;
}

async function unpack(tarball, modules) {
  const client = join(modules, CLIENT);
  await mkdir(client, { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', client]);
}

/** Runs `npm run build` in the folder of an example; returns the output folder. */
export async function build(folder, variables = {}) {
  const env = { ...process.env, ...variables };
  await run('npm', ['run', 'build', '--loglevel=error'], { cwd: folder, env });
  return join(folder, 'dist');
}
