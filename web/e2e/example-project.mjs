import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { outputFile } from './environment.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const CLIENT = '@tandem-rec/client';

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
  const folder = join(outputFile('examples'), name);
  await rm(folder, { recursive: true, force: true });
  const excluded = new Set(
    ['dist', 'node_modules'].map((part) => join(root, 'examples', name, part)),
  );
  await cp(join(root, 'examples', name), folder, {
    recursive: true,
    filter: (source) => !excluded.has(source),
  });
  const modules = join(folder, 'node_modules');
  const client = join(modules, CLIENT);
  await mkdir(client, { recursive: true });
  await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', client]);
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  for (const dependency of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
    if (dependency === CLIENT) continue;
    await mkdir(dirname(join(modules, dependency)), { recursive: true });
    await symlink(join(root, 'node_modules', dependency), join(modules, dependency));
  }
  await symlink(join(root, 'node_modules/.bin'), join(modules, '.bin'));
  return folder;
}

/** Runs `npm run build` in the folder of an example; returns the output folder. */
export async function build(folder) {
  await run('npm', ['run', 'build', '--loglevel=error'], { cwd: folder });
  return join(folder, 'dist');
}
