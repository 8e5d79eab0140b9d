/** One film as it is shown. */
export interface Film {
  item: string;
  /** With its article in front. */
  title: string;
  /** The title in its own language, where the catalogue has it in brackets. */
  original: string | null;
  year: number | null;
  genres: readonly string[];
}

/** The films of the shop by id, and the models that rank them. */
export interface Catalogue {
  films: ReadonlyMap<string, Film>;
  /** Genres, most films first. */
  genres: readonly string[];
  /** The small model in words. */
  smallModel: string;
}

/** What the server says about itself. */
export interface ServiceStatus {
  languageModel: string | null;
  /** Citation and terms of the data. */
  notice: string | null;
}

interface ManifestPart {
  items: { path: string };
  model: { kind: string; dims: number; blocks: number };
}

interface ItemRecord {
  item: string;
  title: string;
  year?: number | null;
  genres?: string[];
}

/** Fetches the catalogue for people: `GET /v1/manifest`, then the items file it names. */
export async function loadCatalogue(server: string, signal: AbortSignal): Promise<Catalogue> {
  const response = await get(`${server}v1/manifest`, signal);
  const hash = response.headers.get('x-artifacts');
  const manifest = (await response.json()) as ManifestPart;
  if (hash === null) throw new Error('the manifest came without its x-artifacts header');
  const items = await get(`${server}artifacts/${hash}/${manifest.items.path}`, signal);
  return catalogueFrom((await items.json()) as ItemRecord[], manifest.model);
}

/** Fetches models and terms; what is missing is `null`, since the shop works without. */
export async function loadStatus(server: string, signal: AbortSignal): Promise<ServiceStatus> {
  const response = await get(`${server}v1/status`, signal);
  const status = (await response.json()) as {
    language_model?: { name: string } | null;
    notice?: string | null;
  };
  return { languageModel: status.language_model?.name ?? null, notice: status.notice ?? null };
}

/** Brings catalogue records into the form in which they are shown. */
export function catalogueFrom(
  records: readonly ItemRecord[],
  model: ManifestPart['model'],
): Catalogue {
  const films = new Map<string, Film>();
  const counts = new Map<string, number>();
  for (const { item, title, year, genres = [] } of records) {
    films.set(item, { item, ...splitTitle(title), year: year ?? null, genres });
    for (const genre of genres) counts.set(genre, (counts.get(genre) ?? 0) + 1);
  }
  return {
    films,
    genres: [...counts].sort((a, b) => b[1] - a[1]).map(([genre]) => genre),
    smallModel: `${modelNames[model.kind] ?? model.kind} (${model.dims} dimensions, ${model.blocks} layers)`,
  };
}

const modelNames: Record<string, string> = { sasrec: 'SASRec', gru4rec: 'GRU4Rec', din: 'DIN' };

/** `Usual Suspects, The` and `Horseman on the Roof, The (Hussard sur le toit, Le)`. */
export function splitTitle(raw: string): { title: string; original: string | null } {
  const match = /^(.*\S)\s+\(([^()]*[^\d()][^()]*)\)$/.exec(raw);
  return {
    title: articleFirst(match?.[1] ?? raw),
    original: match?.[2] === undefined ? null : articleFirst(match[2]),
  };
}

function articleFirst(title: string): string {
  const match = /^(.*), (The|An?|Las?|Les?|Los|El|Il|Lo|Das|Der|Die|Det|Den|L')$/.exec(title);
  if (match?.[1] === undefined || match[2] === undefined) return title;
  return match[2] === "L'" ? `L'${match[1]}` : `${match[2]} ${match[1]}`;
}

/**
 * Films whose title has all the words of a query, those that begin with it first, otherwise
 * in the order of the catalogue.
 */
export function search(films: Iterable<Film>, query: string, limit: number): Film[] {
  const wanted = fold(query);
  if (wanted === '') return [];
  const words = wanted.split(' ');
  const first: Film[] = [];
  const rest: Film[] = [];
  for (const film of films) {
    const title = fold(`${film.title} ${film.original ?? ''} ${film.year ?? ''}`);
    if (!words.every((word) => title.includes(word))) continue;
    (title.startsWith(wanted) ? first : rest).push(film);
  }
  return [...first, ...rest].slice(0, limit);
}

function fold(text: string): string {
  return text
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .toLowerCase()
    .trim()
    .replace(/\s+/g, ' ');
}

async function get(address: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address, { signal });
  } catch (error) {
    throw new Error(`no answer from the server for ${address}`, { cause: error });
  }
  if (!response.ok) throw new Error(`${address}: HTTP status ${response.status}`);
  return response;
}
