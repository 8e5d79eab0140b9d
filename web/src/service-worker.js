/**
 * Keeps the page, the WebAssembly module and the model's files for visits without a network.
 * Nothing about the visitor passes through it: requests for lists are not intercepted.
 *
 * The build replaces the names of the files and the version.
 */
const FILES = ['__FILES__'];
const NAME = 'tandem-films-__VERSION__';
/** The stored copy serves any encoding and origin: browsers decompress before they store. */
const ANY = { ignoreVary: true };
/** Artefacts never change; they outlive a new version of the page. */
const ARTIFACTS = 'tandem-films-artifacts';
/** Header of a copy in place of an answer; `reachability.ts` reads it. */
const STORED_COPY = 'x-tandem-stored-copy';

self.addEventListener('install', (event) => {
  event.waitUntil(install());
});

self.addEventListener('activate', (event) => {
  event.waitUntil(dropOldVersions());
});

self.addEventListener('fetch', (event) => {
  const { method, url } = event.request;
  const { origin, pathname } = new URL(url);
  if (method !== 'GET' || origin !== location.origin) return;
  // The documentation has files whose content changes under the same name.
  if (pathname.startsWith(new URL('docs/', self.registration.scope).pathname)) return;
  if (/\/artifacts\/[^/]+\/[^/]+$/.test(pathname)) {
    event.respondWith(fromCache(event.request, ARTIFACTS));
  } else if (/\/v1\/(manifest|status|models)$/.test(pathname)) {
    event.respondWith(fromNetwork(event.request, ARTIFACTS));
  } else if (/\/assets\//.test(pathname)) {
    event.respondWith(fromCache(event.request, NAME));
  } else if (
    event.request.mode === 'navigate' ||
    FILES.some((file) => pathname.endsWith(`/${file}`))
  ) {
    event.respondWith(fromNetwork(event.request, NAME));
  }
});

async function install() {
  const cache = await caches.open(NAME);
  await cache.addAll(FILES);
  // The first visit has loaded these before this worker was there.
  const artifacts = await caches.open(ARTIFACTS);
  const response = await fetch('./v1/manifest');
  if (!response.ok) throw new Error(`v1/manifest: HTTP status ${response.status}`);
  const folder = `./artifacts/${response.headers.get('x-artifacts')}`;
  const manifest = await response.clone().json();
  await artifacts.put('./v1/manifest', response);
  const { body, items, rows } = manifest;
  await artifacts.addAll([
    './v1/status',
    './v1/models',
    ...[body, items, rows].map(({ path }) => `${folder}/${path}`),
  ]);
}

async function dropOldVersions() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith('tandem-films-') && name !== NAME);
  await Promise.all(old.filter((name) => name !== ARTIFACTS).map((name) => caches.delete(name)));
}

/** For files that never change. */
async function fromCache(request, name) {
  const cache = await caches.open(name);
  const found = await cache.match(request, ANY);
  if (found !== undefined) return found;
  const response = await fetch(request);
  if (response.ok) await cache.put(request, response.clone());
  return response;
}

/** The newest version, or the stored one without a network; the page must be able to tell. */
async function fromNetwork(request, name) {
  const cache = await caches.open(name);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const page = request.mode === 'navigate' ? await cache.match('./', ANY) : undefined;
    const found = (await cache.match(request, ANY)) ?? page;
    if (found === undefined) throw error;
    const { status, statusText } = found;
    const headers = new Headers(found.headers);
    headers.set(STORED_COPY, '1');
    return new Response(found.body, { status, statusText, headers });
  }
}
