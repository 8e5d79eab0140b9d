import { createHash } from 'node:crypto';
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
 *   answers?: Record<string, string>, headers?: Record<string, string>, inlineScripts?: boolean }}
 *   how `types` (content type) and `answers` (another file) by file extension; `headers` for every
 *   response; `inlineScripts`: the policy has the hashes of the page's own inline scripts
 */
export async function serve(
  folder,
  { cloud, policy = STRICT, types = {}, answers = {}, headers = {}, inlineScripts = false },
) {
  const violations = [];
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
      const file = await readFile(join(folder, normalize(answers[type] ?? name)));
      const body = type === '.html' ? withCloud(file.toString(), cloud) : file;
      const inline = inlineScripts && type === '.html' ? hashes(body) : [];
      response.writeHead(200, {
        'content-type': types[type] ?? TYPES[type] ?? 'application/octet-stream',
        'content-security-policy': headerOf(policy, inline),
        ...headers,
      });
      response.end(body);
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

function headerOf(policy, scripts) {
  const sources = [policy['script-src'], ...scripts].join(' ');
  return Object.entries({ ...policy, 'script-src': sources, 'report-uri': '/csp-report' })
    .map(([directive, allowed]) => `${directive} ${allowed}`)
    .join('; ');
}

/** Sources of a policy that allow the inline scripts of a page. */
function hashes(html) {
  return [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>(.*?)<\/script>/gs)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`,
  );
}

/** Replaces the server address in the page of an example. */
export const withCloud = (html, cloud) => html.replace('http://127.0.0.1:8080', cloud);
