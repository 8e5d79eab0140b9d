import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

/** All that the package needs, and nothing more; `pkg/README.md` says the same. */
export const STRICT = {
  'default-src': "'none'",
  'script-src': "'self' 'wasm-unsafe-eval'",
  'worker-src': "'self'",
  'connect-src': "'self' http://127.0.0.1:*",
  'style-src': "'self'",
  'img-src': "'self'",
};

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

/**
 * Serves a folder on a free port of 127.0.0.1 under a Content-Security-Policy, and collects
 * what browsers report of it. In `index.html`, `cloud` takes the place of the address that
 * the examples have for trying them by hand.
 *
 * @param {string} folder
 * @param {{ cloud: string, policy?: Record<string, string>, types?: Record<string, string>,
 *   answers?: Record<string, string>, headers?: Record<string, string> }} how `types` and
 *   `answers` (another file) by the ending of a name, `headers` on every answer
 */
export async function serve(
  folder,
  { cloud, policy = STRICT, types = {}, answers = {}, headers = {} },
) {
  const violations = [];
  const header = Object.entries({ ...policy, 'report-uri': '/csp-report' })
    .map(([directive, sources]) => `${directive} ${sources}`)
    .join('; ');
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://127.0.0.1');
    if (pathname === '/csp-report') {
      const report = JSON.parse(Buffer.concat(await request.toArray()).toString());
      violations.push(report['csp-report']);
      return response.writeHead(204).end();
    }
    const name = pathname === '/' ? '/index.html' : decodeURIComponent(pathname);
    const type = extname(name);
    try {
      const body = await readFile(join(folder, normalize(answers[type] ?? name)));
      response.writeHead(200, {
        'content-type': types[type] ?? TYPES[type] ?? 'application/octet-stream',
        'content-security-policy': header,
        ...headers,
      });
      response.end(type === '.html' ? withCloud(body.toString(), cloud) : body);
    } catch (error) {
      if (error.code !== 'ENOENT' && error.code !== 'EISDIR') throw error;
      response.writeHead(404).end();
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    violations,
    close: () => {
      server.closeAllConnections();
      return new Promise((closed) => server.close(closed));
    },
  };
}

/** The page of an example, with the cloud server it is to ask. */
export const withCloud = (html, cloud) => html.replace('http://127.0.0.1:8080', cloud);
