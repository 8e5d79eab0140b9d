import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

/** Files that a visit without a network does not need: of other pages, and of rare characters. */
const LEFT_OUT =
  /archivo-latin|view-|static-server|\.map$|webgpu|evidence|goods|(^|\/)own[-.]|replay|results\.json/;
/** The WebGPU module; most visitors never load it. */
const LARGE = 2_000_000;

/** Emits `service-worker.js` with the names of the site's files, at an address that never changes. */
export function serviceWorker(source: string): Plugin {
  return {
    name: 'tandem:service-worker',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const files = Object.values(bundle)
          .filter((file) => file.type === 'chunk' || file.source.length < LARGE)
          .map(({ fileName }) => fileName)
          .filter((name) => !LEFT_OUT.test(name))
          .sort();
        const script = readFileSync(source, 'utf8').replace(
          "['__FILES__']",
          JSON.stringify(['./', 'icon.svg', ...files]),
        );
        const version = createHash('sha256').update(script).digest('hex').slice(0, 12);
        this.emitFile({
          type: 'asset',
          fileName: 'service-worker.js',
          source: script.replace('__VERSION__', version),
        });
      },
    },
  };
}
