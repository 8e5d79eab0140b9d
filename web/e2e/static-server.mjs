import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

/** The minimal policy for the package, as documented in `pkg/README.md`. */
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
 * Serves a folder on a free port of 127.0.0.1 under a Content-Security-Policy and collects
 * violation reports. In HTML files, `cloud` replaces the server address of the examples.
 *
 * @param {string} folder
 * @param {{ cloud: string, policy?: Record<string, string>, types?: Record<string, string>,
 *   answers?: Record<string, string>, headers?: Record<string, string> }} how `types` (content
 *   type) and `answers` (another file) by file extension; `headers` for every response
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

/** Replaces the server address in the page of an example. */
export const withCloud = (html, cloud) => html.replace('http://127.0.0.1:8080', cloud);
