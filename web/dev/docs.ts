import { readFileSync } from 'node:fs';
import { posix, resolve } from 'node:path';
import { marked } from 'marked';
import type { Plugin } from 'vite';

/** Documents of the repository that the site shows, and their addresses below `docs/`. */
const PAGES: Record<string, string> = {
  'README.md': 'index.html',
  'ARCHITECTURE.md': 'code.html',
  'pkg/README.md': 'package.html',
  'pkg/docs/api.md': 'api.html',
  'pkg/docs/frameworks.md': 'frameworks.html',
  'pkg/docs/privacy.md': 'privacy.html',
  'pkg/docs/troubleshooting.md': 'troubleshooting.html',
  'cloud-server/README.md': 'server.html',
  'docs/quickstart.md': 'quickstart.html',
  'docs/own-data.md': 'own-data.html',
  'docs/hosting.md': 'hosting.html',
  'docs/quality.md': 'quality.html',
  'docs/benchmarks.md': 'benchmarks.html',
  'docs/device.md': 'device.html',
  'docs/reliability.md': 'reliability.html',
};

/** Titles of the navigation, in its order. */
const NAVIGATION: [file: string, title: string][] = [
  ['README.md', 'Overview'],
  ['docs/quickstart.md', 'Quick start'],
  ['pkg/README.md', 'Package'],
  ['pkg/docs/frameworks.md', 'Frameworks'],
  ['pkg/docs/api.md', 'API'],
  ['cloud-server/README.md', 'Server'],
  ['docs/hosting.md', 'Hosting'],
  ['docs/quality.md', 'Quality'],
  ['docs/benchmarks.md', 'Speed'],
  ['pkg/docs/privacy.md', 'Privacy'],
  ['ARCHITECTURE.md', 'Code'],
];

/** `docs/*.html`: the repository's documents as pages of the site. */
export function documentation(repository: string): Plugin {
  const page = (file: string): string =>
    layout(file, linked(file, readFileSync(resolve(repository, file), 'utf8')));
  return {
    name: 'tandem:documentation',
    configureServer(server) {
      server.middlewares.use('/docs', (request, response, next) => {
        const name = request.url === '/' ? 'index.html' : request.url?.slice(1).split('?')[0];
        const file = Object.keys(PAGES).find((key) => PAGES[key] === name);
        if (name === 'style.css') {
          response.setHeader('content-type', 'text/css');
          response.end(STYLE);
        } else if (file === undefined) next();
        else {
          response.setHeader('content-type', 'text/html; charset=utf-8');
          response.end(page(file));
        }
      });
    },
    generateBundle() {
      for (const [file, name] of Object.entries(PAGES)) {
        this.emitFile({ type: 'asset', fileName: `docs/${name}`, source: page(file) });
      }
      this.emitFile({ type: 'asset', fileName: 'docs/style.css', source: STYLE });
    },
  };
}

/** The document with links to other pages of the site; other relative links lead nowhere here. */
function linked(file: string, markdown: string): string {
  const html = marked.parse(markdown, { async: false }) as string;
  const withAnchors = html.replace(
    /<h([2-4])>(.*?)<\/h\1>/g,
    (_, level: string, title: string) => `<h${level} id="${anchorOf(title)}">${title}</h${level}>`,
  );
  return withAnchors
    .replace(/<img[^>]*>/g, '')
    .replace(/<pre>/g, '<pre tabindex="0">')
    .replace(/<table>/g, '<div class="table" tabindex="0"><table>')
    .replace(/<\/table>/g, '</table></div>')
    .replace(/<a href="([^"#:]+)(#[^"]*)?">(.*?)<\/a>/g, (_, path: string, hash, text: string) => {
      const page = PAGES[posix.join(posix.dirname(file), path)];
      return page === undefined ? text : `<a href="${page}${hash ?? ''}">${text}</a>`;
    });
}

function anchorOf(title: string): string {
  return title
    .replace(/<[^>]*>/g, '')
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .trim()
    .replace(/\s+/g, '-');
}

function layout(file: string, content: string): string {
  const links = NAVIGATION.map(([target, title]) => {
    const current = target === file ? ' aria-current="page"' : '';
    return `<a href="${PAGES[target]}"${current}>${title}</a>`;
  });
  const title = /<h1[^>]*>(.*?)<\/h1>/.exec(content)?.[1] ?? 'Tandem';
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <link rel="icon" href="../icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="style.css" />
    <title>${title} · Tandem documentation</title>
  </head>
  <body>
    <nav aria-label="Documentation"><a href="../">Demo</a>${links.join('')}</nav>
    <main>${content}</main>
  </body>
</html>
`;
}

const STYLE = `:root { color-scheme: light dark; --ink: #14161c; --quiet: #5a606e; --line: #dcdfe6;
  --page: #fff; --soft: #f4f5f8; --cloud: #2857d8; font-family: system-ui, sans-serif;
  line-height: 1.6; color: var(--ink); background: var(--page); }
@media (prefers-color-scheme: dark) { :root { --ink: #eef0f5; --quiet: #a2a8b6; --line: #2b303b;
  --page: #0f1116; --soft: #181b22; --cloud: #8fadff; } }
body { margin: 0 auto; max-inline-size: 76rem; padding: 1rem 1.2rem 4rem; display: grid;
  grid-template-columns: 11rem minmax(0, 1fr); gap: 2.5rem; }
nav { position: sticky; inset-block-start: 1rem; align-self: start; display: grid; gap: 0.45rem; }
nav a { color: var(--quiet); text-decoration: none; }
nav a:hover, nav [aria-current] { color: var(--ink); }
nav [aria-current] { font-weight: 650; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; }
h2 { margin-block-start: 2.2rem; }
a { color: var(--cloud); }
p, li { max-inline-size: 78ch; }
pre, code { font-size: 0.875em; background: var(--soft); border-radius: 4px; }
code { padding: 0.1em 0.3em; overflow-wrap: break-word; }
pre { padding: 0.8rem 1rem; overflow-x: auto; }
pre code { padding: 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; }
th, td { padding: 0.35rem 0.7rem; border-block-end: 1px solid var(--line); text-align: start;
  vertical-align: top; }
@media (max-width: 48rem) { body { grid-template-columns: minmax(0, 1fr); gap: 1rem; }
  nav { position: static; display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; } }
`;
