/**
 * The pages of the documentation site: files of the repository, in the order of the navigation.
 * Every document of `docs` and `pkg/docs` is on the site; one that is not listed here is the last
 * of the guides, under its own heading.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The home page. */
export const HOME = 'README.md';

/** Group of the modules of the package. */
export const REFERENCE = 'API reference';

/** Where links to the package's reference for the forge lead: the module of this name. */
export const FORGE_REFERENCE = 'pkg/docs/api.md';

/** Entry points of the package, below `pkg/src`, and what a page imports. */
export const MODULES = {
  'page/index.ts': '@tandem-rec/client',
  'adapters/react.ts': '@tandem-rec/client/react',
  'adapters/vue.ts': '@tandem-rec/client/vue',
  'adapters/svelte.ts': '@tandem-rec/client/svelte',
  'adapters/element.ts': '@tandem-rec/client/element',
};

const GUIDES = 'Guides';
const GROUPS = {
  Start: {
    'docs/quickstart.md': ['quickstart', 'Quick start with your data'],
    'pkg/README.md': ['package', 'Put it in your page'],
    'examples/README.md': ['examples', 'Examples'],
  },
  [GUIDES]: {
    'docs/own-data.md': ['own-data', 'Log and catalogue files'],
    'pkg/docs/frameworks.md': ['frameworks', 'Frameworks'],
    'pkg/docs/privacy.md': ['privacy', 'Privacy'],
    'pkg/docs/troubleshooting.md': ['troubleshooting', 'Troubleshooting'],
    'docs/ranking-signals.md': ['ranking-signals', 'Text and counts as signals'],
  },
  Server: {
    'cloud-server/README.md': ['server', 'Cloud server'],
    'docs/hosting.md': ['hosting', 'Hosting'],
    'docs/storage.md': ['storage', 'Storage'],
    'docs/scaling.md': ['scaling', 'Scaling'],
    'docs/reliability.md': ['reliability', 'What it withstands'],
    'SECURITY.md': ['security', 'Security'],
  },
  'Method and evidence': {
    'docs/quality.md': ['quality', 'Quality'],
    'docs/benchmarks.md': ['benchmarks', 'Speed'],
    'docs/device.md': ['device', 'Decision and learning'],
  },
  Development: {
    'ARCHITECTURE.md': ['code', 'Architecture'],
    'CONTRIBUTING.md': ['contributing', 'Contributing'],
    'web/README.md': ['demo', 'The demo'],
    'docs-site/README.md': ['documentation', 'This site'],
    'CHANGELOG.md': ['changelog', 'Changelog'],
  },
};

export const GROUP_ORDER = [...Object.keys(GROUPS), REFERENCE];

/**
 * @typedef {object} Page
 * @property {string} file path in the repository
 * @property {string} slug name of the HTML file, without its ending
 * @property {string} title title in the navigation
 * @property {string} group group in the navigation
 */

/** @returns {Page[]} all pages except the home page, in the order of the navigation */
export function pages(root) {
  return Object.entries(GROUPS).flatMap(([group, files]) => {
    const listed = Object.entries(files).map(([file, [slug, title]]) => {
      return { file, slug, title, group };
    });
    return group === GUIDES ? [...listed, ...unlisted(root)] : listed;
  });
}

function unlisted(root) {
  const known = Object.values(GROUPS).flatMap((files) => Object.keys(files));
  return ['docs', 'pkg/docs'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`)
      .filter((file) => !known.includes(file) && file !== FORGE_REFERENCE)
      .sort()
      .map((file) => {
        const slug = file.split('/').at(-1).slice(0, -'.md'.length);
        const heading = /^# (.+)$/m.exec(readFileSync(join(root, file), 'utf8'))?.[1];
        return { file, slug, title: heading ?? slug, group: GUIDES };
      }),
  );
}
