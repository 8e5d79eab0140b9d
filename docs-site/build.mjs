/**
 * Builds the documentation site into `dist`, or into the folder in the first argument. Files can be
 * served from any path, under a policy without inline scripts and styles. A link to a missing
 * file or heading is an error.
 */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Application } from 'typedoc';
import { GROUP_ORDER, HOME, MODULES, pages } from './navigation.mjs';
import { adapt, DEMO } from './typedoc-plugin.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = resolve(here, '..');
const out = resolve(process.argv[2] ?? join(here, 'dist'));
const listed = pages(root);

const app = await Application.bootstrap({
  entryPoints: Object.keys(MODULES).map((file) => join(root, 'pkg/src', file)),
  tsconfig: join(here, 'tsconfig.json'),
  // `tsc --build` checks the types, with the compiler of the repository.
  skipErrorChecking: true,
  name: 'Tandem',
  readme: join(root, HOME),
  projectDocuments: listed.map(({ file }) => join(root, file)),
  disableSources: true,
  excludePrivate: true,
  excludeInternal: true,
  searchInDocuments: true,
  searchInComments: true,
  sort: ['documents-first', 'static-first', 'required-first', 'source-order'],
  sortEntryPoints: false,
  groupOrder: GROUP_ORDER,
  navigation: { includeGroups: true, includeCategories: false, includeFolders: false },
  navigationLinks: { Demo: DEMO },
  // The plugin reports missing files, and turns links to folders into text.
  validation: { notExported: true, invalidLink: true, rewrittenLink: true, invalidPath: false },
  // The switches for them need inline styles, and nothing here is inherited or protected.
  visibilityFilters: {},
  includeHierarchySummary: false,
  hideGenerator: true,
  githubPages: false,
  lightHighlightTheme: 'github-light-high-contrast',
  darkHighlightTheme: 'github-dark',
  customCss: join(here, 'style.css'),
  favicon: join(root, 'web/public/icon.svg'),
  highlightLanguages: [
    ...['bash', 'console', 'css', 'html', 'ini', 'javascript', 'json', 'jsonc', 'nginx', 'rust'],
    ...['sh', 'sql', 'svelte', 'toml', 'tsx', 'typescript', 'vue', 'yaml'],
  ],
  treatWarningsAsErrors: true,
  router: 'tandem',
});
adapt(app, { root, listed });
const project = await app.convert();
if (project !== undefined) await app.generateDocs(project, out);
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exitCode = 1;
