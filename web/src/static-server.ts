/**
 * Answers the requests of the page and of the package from files, for a site on a host that
 * serves files only (`cargo xtask site`). Lists were made in advance, one for each newest item of
 * a history; the device's search does the rest.
 */
export function staticServer(release: string, get: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    const [, folder, name] = /^(.*\/)v1\/(manifest|status|models|candidates)$/.exec(url.href) ?? [];
    if (folder === undefined || name === undefined) return get(url, init);
    const signal = init?.signal ?? null;
    if (name === 'candidates') return candidates(`${folder}static/lists/`, init, get);
    const response = await get(`${folder}static/${name}.json`, { signal });
    return name === 'manifest' && response.ok ? named(response, release) : response;
  };
}

interface ListRequest {
  history: string[];
  exclude?: string[];
  k?: number;
}

async function candidates(
  folder: string,
  init: RequestInit | undefined,
  get: typeof fetch,
): Promise<Response> {
  const { history, exclude = [], k } = JSON.parse(String(init?.body ?? '{}')) as ListRequest;
  // The list before the first click has a name that no item has.
  const newest = history.at(-1) ?? '-';
  const response = await get(`${folder}${encodeURIComponent(newest)}.json`, {
    signal: init?.signal ?? null,
  });
  if (!response.ok) return response;
  const list = (await response.json()) as { candidates: { item: string }[] };
  const had = new Set([...history, ...exclude]);
  const left = list.candidates.filter(({ item }) => !had.has(item)).slice(0, k);
  return Response.json({ ...list, candidates: left });
}

/** Hosts of files do not send the header that names the release. */
function named(response: Response, release: string): Response {
  const headers = new Headers(response.headers);
  headers.set('x-artifacts', release);
  headers.delete('content-encoding');
  return new Response(response.body, { status: response.status, headers });
}
