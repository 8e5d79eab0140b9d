/**
 * Fake of the WebAssembly client for work on the page without a server. It ranks by shared
 * genres, so its recommendations say nothing about the real models.
 */
import type {
  Connection,
  Decision,
  ErrorCode,
  Explanation,
  LearnReport,
  ReasonCode,
  SimilarItem,
  TrackedEvent,
  Update,
} from '@tandem-rec/client';
import type { Film } from './films.ts';

export default async function init(): Promise<void> {}

const THRESHOLD = 0.3;
/** Expected gain above which a list is requested. */
const GAIN = 0.012;
/** Clicks after which the whole disagreement counts as expected gain. */
const AGED = 4;
const LIST = 50;
const MODELS = ['Example language model', 'Second language model'] as const;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** An error in the form in which the WebAssembly module throws it. */
function wireError(code: ErrorCode, message: string): Error {
  return Object.assign(new Error(message), { code });
}

async function fault(server: string): Promise<string> {
  const state = (await (await fetch(`${server}/__mock/state`)).json()) as { fault: string };
  return state.fault;
}

/** The part of the package's network that the fake uses. */
interface Network {
  send(request: object, signal: AbortSignal): Promise<{ status: number; body: Uint8Array }>;
}

function get(url: string, why: string): object {
  return { url, body: null, why, sha256: null, cellIndex: null, fresh: false };
}

export class Client {
  readonly #server: string;
  readonly #network: Network;
  readonly #films: Map<string, Film>;
  #history: string[] = [];
  #disliked = new Set<string>();
  #list: { order: string[]; at: number; cold: boolean } | null = null;
  #offline = false;
  #failures = 0;
  #message: string | null = null;
  #sinceList = 0;
  #steps = 0;
  /** Number of clicks that have not been learnt from yet. */
  #pending = 0;
  #calls = 0;
  #bytesUp = 0;
  #bytesDown = 412_300;
  #requestMs: number | null = null;
  #model: string = MODELS[0];

  constructor(server: string, films: Film[], network: Network) {
    this.#server = server;
    this.#network = network;
    this.#films = new Map(films.map((film) => [film.item, film]));
  }

  static async open({ server }: { server: string }, network: Network): Promise<Client> {
    const wrong = await fault(server);
    if (wrong === 'slow') await pause(60_000);
    if (wrong === 'down') {
      throw wireError(
        'unreachable',
        `no response from ${server}: check that the server is running`,
      );
    }
    if (wrong === 'integrity') {
      const hashes = `expected ${'9c99'.repeat(16)}, found ${'1f37'.repeat(16)}`;
      throw wireError('integrity', `rows.bin is damaged: ${hashes}; reload the page`);
    }
    await pause(300);
    await network.send(get(`${server}/v1/manifest`, 'manifest'), new AbortController().signal);
    const films = (await (await fetch(`${server}/artifacts/mock/items.json`)).json()) as Film[];
    return new Client(server, films, network);
  }

  async track(event: TrackedEvent): Promise<Update> {
    if (event.type === 'dislike') this.#disliked.add(event.item);
    else if (event.type !== 'view') {
      this.#history = [...this.#history.filter((item) => item !== event.item), event.item];
      this.#sinceList += 1;
      this.#pending += 1;
    }
    return this.recommend();
  }

  async recommend(): Promise<Update> {
    const list = (this.#list?.order ?? []).filter(
      (item) => !this.#history.includes(item) && !this.#disliked.has(item),
    );
    const small = [...list].sort((a, b) => this.#taste(b, 3) - this.#taste(a, 3));
    const items = list
      .map((item, llmRank) => {
        const srmRank = small.indexOf(item);
        const score = -(llmRank + srmRank) / LIST;
        return {
          item,
          score,
          listed: true,
          llmRank,
          srmRank,
          logprob: -2 - llmRank / 9,
          srmScore: 2 - srmRank / 12,
        };
      })
      .sort((a, b) => b.score - a.score);
    const apart = items.reduce((sum, { llmRank, srmRank }) => sum + Math.abs(llmRank - srmRank), 0);
    const disagreement = items.length < 2 ? null : apart / ((items.length ** 2 - 1) / 2);
    return {
      items,
      searched: false,
      exhausted: true,
      decision: this.#decide(disagreement),
      ranking: this.#list === null ? null : this.#list.cold ? 'popularity' : 'language_model',
      model: this.#list === null ? null : this.#model,
      connection: this.#connection(),
      stats: {
        clicks: this.#history.length,
        calls: this.#calls,
        failedCalls: this.#failures,
        bytesUp: this.#bytesUp,
        bytesDown: this.#bytesDown,
        listAgeMs: this.#list === null ? null : Date.now() - this.#list.at,
        clicksSinceList: this.#sinceList,
        learnSteps: this.#steps,
        nonFinite: 0,
      },
      timings: {
        rerankMs: 0.21 + (this.#sinceList % 5) / 20,
        requestMs: this.#requestMs,
        serverMs: this.#requestMs === null ? null : this.#requestMs - 12,
      },
      history: [...this.#history],
    };
  }

  async replay(events: TrackedEvent[]): Promise<Update> {
    for (const event of events) await this.track(event);
    return this.recommend();
  }

  async undo(): Promise<{ event: TrackedEvent | null; update: Update }> {
    const item = this.#history.pop();
    const event: TrackedEvent | null = item === undefined ? null : { type: 'click', item };
    return { event, update: await this.recommend() };
  }

  async explain(item: string): Promise<Explanation | null> {
    const { items } = await this.recommend();
    const rank = items.findIndex((ranked) => ranked.item === item);
    const found = items[rank];
    if (found === undefined) return null;
    const contributions = this.#history
      .slice(-10)
      .map((seen) => ({ item: seen, logit: this.#shared(seen, item) / 2 - 0.4 }))
      .sort((a, b) => Math.abs(b.logit) - Math.abs(a.logit));
    return { item: found, rank, of: items.length, contributions };
  }

  async similar(item: string, k: number): Promise<SimilarItem[]> {
    return [...this.#films.keys()]
      .filter((other) => other !== item)
      .sort((a, b) => this.#shared(item, b) - this.#shared(item, a))
      .slice(0, k)
      .map((other, at) => ({ item: other, similarity: 1 / (at + 2) }));
  }

  async compare(): Promise<number | null> {
    return this.#history.length === 0 ? null : 0.4;
  }

  /** As for a page that has nothing yet: the whole history. */
  historyChange(): { dropped: number; kept: number; added: string[] } {
    return { dropped: 0, kept: 0, added: [...this.#history] };
  }

  async request(path: string): Promise<string> {
    return (await fetch(`${this.#server}${path}`)).text();
  }

  async rankDeeper(): Promise<{ items: Update['items']; exhausted: boolean }> {
    return { items: (await this.recommend()).items, exhausted: true };
  }

  setAvailable(): Promise<Update> {
    return this.recommend();
  }

  setExcluded(): Promise<Update> {
    return this.recommend();
  }

  async fetchMissing(): Promise<{
    update: null;
    rows: false;
    errors: [];
    more: false;
    failed: false;
  }> {
    return { update: null, rows: false, errors: [], more: false, failed: false };
  }

  fetchFurther(): Promise<{ update: null; rows: false; errors: []; more: false; failed: false }> {
    return this.fetchMissing();
  }

  async chooseModel(name?: string): Promise<null> {
    this.#model = name ?? MODELS[0];
    return null;
  }

  free(): void {}

  async requestCandidates(): Promise<Update> {
    const started = performance.now();
    const body = JSON.stringify({ history: this.#history, exclude: [...this.#disliked] });
    this.#bytesUp += body.length;
    const answer = await this.#network
      .send(
        { ...get(`${this.#server}/v1/candidates`, 'a new list'), body },
        new AbortController().signal,
      )
      .catch(() => null);
    if (answer === null || answer.status !== 200) {
      this.#failures += 1;
      this.#message = 'no response within 4 s';
    } else {
      this.#message = null;
      this.#calls += 1;
      this.#bytesDown += answer.body.byteLength;
      const { candidates } = JSON.parse(new TextDecoder().decode(answer.body)) as {
        candidates: { item: string }[];
      };
      this.#list = {
        order: candidates.map(({ item }) => item),
        at: Date.now(),
        cold: this.#history.length === 0,
      };
      this.#sinceList = 0;
      this.#requestMs = performance.now() - started;
    }
    return this.recommend();
  }

  async learn(): Promise<LearnReport | null> {
    if (this.#pending === 0) return null;
    this.#pending -= 1;
    this.#steps += 1;
    const lossBefore = 3.9 * 0.93 ** this.#steps + 0.4 + ((this.#steps * 7) % 5) / 12;
    return { step: this.#steps, lossBefore, lossAfter: lossBefore * 0.86, ms: 4.6 };
  }

  setOffline(offline: boolean): void {
    this.#offline = offline;
  }

  async reset(): Promise<Update> {
    this.#history = [];
    this.#disliked.clear();
    this.#list = null;
    this.#sinceList = 0;
    this.#steps = 0;
    this.#pending = 0;
    return this.recommend();
  }

  exportPersonal(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify(this.#history));
  }

  async importPersonal(bytes: Uint8Array): Promise<Update> {
    this.#history = JSON.parse(new TextDecoder().decode(bytes));
    return this.recommend();
  }

  restorePersonal(bytes: Uint8Array): Promise<Update> {
    return this.importPersonal(bytes);
  }

  abort(): void {}

  #decide(disagreement: number | null): Decision {
    const is = (action: 'keep' | 'request', code: ReasonCode, reason: string): Decision => ({
      action,
      code,
      reason,
      disagreement,
      threshold: THRESHOLD,
      waitMs: code === 'last_call_failed' ? 4_000 : null,
    });
    if (this.#offline) return is('keep', 'offline', 'offline');
    if (this.#message !== null)
      return is('keep', 'last_call_failed', 'waiting before the next attempt');
    if (this.#list === null) return is('request', 'no_candidates', 'no candidates yet');
    if (this.#list.cold && this.#history.length > 0) {
      return is('request', 'list_not_personal', 'the list is not personal yet');
    }
    // Grows with the clicks since the list, and has the digits that the reason shows.
    const aged = Math.min(1, this.#sinceList / AGED);
    const gain = Number((((disagreement ?? 0) * aged) / 20).toFixed(3));
    return gain > GAIN
      ? is(
          'request',
          'fresh_list_helps',
          `a fresh list is expected to help (gain ${gain.toFixed(3)} > ${GAIN.toFixed(3)})`,
        )
      : is(
          'keep',
          'fresh_list_helps_little',
          `a fresh list is not expected to help (gain ${gain.toFixed(3)} ≤ ${GAIN.toFixed(3)})`,
        );
  }

  #connection(): Connection {
    if (this.#offline) return { state: 'offline', code: null, message: null, retryInMs: null };
    return this.#message === null
      ? { state: 'online', code: null, message: null, retryInMs: null }
      : { state: 'failing', code: 'timeout', message: this.#message, retryInMs: 4_000 };
  }

  #shared(one: string, other: string): number {
    const genres = this.#films.get(other)?.genres ?? [];
    return this.#films.get(one)?.genres.filter((genre) => genres.includes(genre)).length ?? 0;
  }

  /** Number of genres shared with the newest films, plus a small constant per item. */
  #taste(item: string, newest: number): number {
    const genres = this.#films.get(item)?.genres ?? [];
    const noise = ((Number(item) * 2654435761) % 97) / 97;
    return this.#history.slice(-newest).reduce((sum, seen, position) => {
      const shared = this.#films.get(seen)?.genres.filter((genre) => genres.includes(genre)) ?? [];
      return sum + shared.length * (1 + position / newest);
    }, noise);
  }
}
