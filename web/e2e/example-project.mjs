import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { evidence } from './environment.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const CLIENT = '@tandem-rec/client';

/**
 * Packs the client package as it stands and returns the tarball. A workspace link would not
 * do: bundlers treat linked sources otherwise than a package in `node_modules`, and what is
 * missing in the tarball would not be missed.
 */
export async function pack() {
  const to = evidence('packed');
  await rm(to, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  const options = ['--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', to];
  const { stdout } = await run('npm', ['pack', ...options], { cwd: join(root, 'pkg') });
  const [{ filename }] = Object.values(JSON.parse(stdout));
  return join(to, filename);
}

/**
 * A copy of `examples/<name>` with `node_modules` as `npm install` would lay it out: the
 * client from its tarball, which has no dependencies of its own, and whatever else the
 * example asks for from the packages of this checkout. Returns its folder.
 */
export async function install(name, tarball) {
  const folder = join(evidence('examples'), name);
  await rm(folder, { recursive: true, force: true });
  const leftOut = new Set(
    ['dist', 'node_modules'].map((part) => join(root, 'examples', name, part)),
  );
  await cp(join(root, 'examples', name), folder, {
    recursive: true,
    filter: (source) => !leftOut.has(source),
  });
  const modules = join(folder, 'node_modules');
  const client = join(modules, CLIENT);
  await mkdir(client, { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', client]);
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  for (const wanted of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
    if (wanted === CLIENT) continue;
    await mkdir(dirname(join(modules, wanted)), { recursive: true });
    await symlink(join(root, 'node_modules', wanted), join(modules, wanted));
  }
  await symlink(join(root, 'node_modules/.bin'), join(modules, '.bin'));
  return folder;
}

/** `npm run build` in the folder of an example; returns the folder to be served. */
export async function build(folder) {
  await run('npm', ['run', 'build', '--loglevel=error'], { cwd: folder });
  return join(folder, 'dist');
}
