/** A film as displayed. */
export interface Film {
  item: string;
  /** With a leading article: `The Usual Suspects`. */
  title: string;
  /** Original-language title, if the catalogue gives one in parentheses. */
  original: string | null;
  year: number | null;
  genres: readonly string[];
}

/** The films of the shop by id, and a description of the small model. */
export interface Catalogue {
  films: ReadonlyMap<string, Film>;
  /** Genres by number of films, largest first. */
  genres: readonly string[];
  /** Most popular films first; the manifest names at most 200. */
  popular: readonly string[];
  calibration: Calibration;
  /** Description of the small model: architecture and size. */
  smallModel: string;
}

/** Settings of the release, as shown beside the controls. */
export interface Calibration {
  /** The language model's weight in the fusion, 0 to 1; `null` if the rule has none. */
  alpha: number | null;
  /** Requests for lists that are regained per minute; `null` for no limit. */
  callsPerMinute: number | null;
  /** Whether the device can search the catalogue itself. */
  searches: boolean;
}

/** The part of `GET /v1/status` that the page displays. */
export interface ServiceStatus {
  languageModel: string | null;
  /** Citation and licence terms of the data. */
  notice: string | null;
}

interface ManifestPart {
  items: { path: string };
  model: { kind: string; dims: number; blocks: number };
  popular?: string[];
  fusion?: { rule?: string; alpha?: number };
  policy?: { bucket?: { refill_per_minute?: number } | null };
  search?: object | null;
}

interface ItemRecord {
  item: string;
  title: string;
  year?: number | null;
  genres?: string[];
}

/** Makes a `GET` request. */
export type Getter = (address: string, signal: AbortSignal) => Promise<Response>;

const fetchGet: Getter = (address, signal) => fetch(address, { signal });

/** Fetches titles, years and genres: `GET /v1/manifest`, then the items file it names. */
export async function loadCatalogue(
  server: string,
  signal: AbortSignal,
  getter: Getter = fetchGet,
): Promise<Catalogue> {
  const response = await get(`${server}v1/manifest`, signal, getter);
  const hash = response.headers.get('x-artifacts');
  const manifest = (await response.json()) as ManifestPart;
  if (hash === null)
    throw new Error(
      'the manifest response has no x-artifacts header: check that a proxy does not remove it',
    );
  const items = await get(`${server}artifacts/${hash}/${manifest.items.path}`, signal, getter);
  return catalogueFrom((await items.json()) as ItemRecord[], manifest);
}

/** Fetches model name and licence notice; missing fields are `null`. */
export async function loadStatus(
  server: string,
  signal: AbortSignal,
  getter: Getter = fetchGet,
): Promise<ServiceStatus> {
  const response = await get(`${server}v1/status`, signal, getter);
  const status = (await response.json()) as {
    language_model?: { name: string } | null;
    notice?: string | null;
  };
  return { languageModel: status.language_model?.name ?? null, notice: status.notice ?? null };
}

/** Converts catalogue records to the form that is displayed. */
export function catalogueFrom(
  records: readonly ItemRecord[],
  { model, popular = [], fusion, policy, search }: Omit<ManifestPart, 'items'>,
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
    popular: popular.filter((item) => films.has(item)),
    calibration: {
      alpha: fusion?.rule === 'weighted' ? (fusion.alpha ?? null) : null,
      callsPerMinute: policy?.bucket?.refill_per_minute ?? null,
      searches: search != null,
    },
    smallModel: `${modelNames[model.kind] ?? model.kind} (${model.dims} dimensions, ${model.blocks} layers)`,
  };
}

const modelNames: Record<string, string> = { sasrec: 'SASRec', gru4rec: 'GRU4Rec', din: 'DIN' };

/**
 * Splits `Horseman on the Roof, The (Hussard sur le toit, Le)` into title and original title,
 * and moves the article of each to the front.
 */
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
 * Films whose title contains every word of the query. Titles that start with the query come
 * first; otherwise in catalogue order.
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

/**
 * Films of a genre, or of all genres: the popular ones first, then those with the fewest other
 * genres.
 */
export function browse(
  { films, popular }: Pick<Catalogue, 'films' | 'popular'>,
  genre: string | null,
  limit: number,
): Film[] {
  const rank = new Map(popular.map((item, position) => [item, position]));
  const last = popular.length;
  return [...films.values()]
    .filter(({ genres }) => genre === null || genres.includes(genre))
    .sort(
      (a, b) =>
        (rank.get(a.item) ?? last) - (rank.get(b.item) ?? last) ||
        a.genres.length - b.genres.length,
    )
    .slice(0, limit);
}

async function get(
  address: string,
  signal: AbortSignal,
  getter: Getter = fetchGet,
): Promise<Response> {
  let response: Response;
  try {
    response = await getter(address, signal);
  } catch (error) {
    throw new Error(
      `${address}: no response from the server; check that it is running and reachable`,
      { cause: error },
    );
  }
  if (!response.ok) throw new Error(`${address}: HTTP status ${response.status}`);
  return response;
}
