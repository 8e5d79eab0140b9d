import { SentLog } from './sent-log.ts';
import type { Exchange, Wire } from './wire.ts';

/** A shop without a device model: a list is requested at every click, shown as it arrives. */
export interface CloudOnlyState {
  /** The cloud's list in its own order. */
  items: readonly string[];
  /** Start of the unanswered request, in milliseconds of `performance.now()`. */
  waitingSince: number | null;
  /** Start of the newest request that is not answered; it is that of the last click. */
  requestedAt: number | null;
  /** Time that the last answer took, from the first click that had none, in milliseconds. */
  answeredMs: number | null;
  /** Time that the last answer took, from the last click. */
  lastMs: number | null;
  problem: 'offline' | 'failing' | null;
  /** Requests that were answered, are under way, or were given up for a newer click. */
  calls: number;
  bytesUp: number;
  bytesDown: number;
  /** Time from clicks to the lists that followed them, in milliseconds. */
  waitedMs: number;
}

export const noCloudList: CloudOnlyState = {
  items: [],
  waitingSince: null,
  requestedAt: null,
  answeredMs: null,
  lastMs: null,
  problem: null,
  calls: 0,
  bytesUp: 0,
  bytesDown: 0,
  waitedMs: 0,
};

/** Makes the requests of the comparison. A newer click aborts the request before it. */
export class CloudOnly {
  /** What this side has sent since the page was opened. */
  readonly sent = new SentLog();
  readonly #address: string;
  readonly #wire: Wire;
  readonly #set: (changes: Partial<CloudOnlyState>) => void;
  readonly #state: () => CloudOnlyState;
  #underWay: AbortController | null = null;
  /** Whether the visitor waits for the list after a click. */
  #followsClick = false;

  constructor(
    server: string,
    wire: Wire,
    state: () => CloudOnlyState,
    set: (changes: Partial<CloudOnlyState>) => void,
  ) {
    this.#address = `${server}v1/candidates`;
    this.#wire = wire;
    this.#state = state;
    this.#set = set;
  }

  /**
   * Requests the list for a history; `model`: `null` for the server's default. `followsClick`: a
   * click or dislike is the reason, not the start of the page or an undo. Resolves with whether the
   * request failed.
   */
  async request(
    history: readonly string[],
    exclude: readonly string[],
    { model, k, followsClick }: { model: string | null; k: number; followsClick: boolean },
  ): Promise<boolean> {
    this.#underWay?.abort();
    this.#followsClick =
      followsClick || (this.#state().waitingSince !== null && this.#followsClick);
    const controller = new AbortController();
    this.#underWay = controller;
    const { waitingSince, calls, items } = this.#state();
    const requestedAt = performance.now();
    this.#set({
      calls: calls + 1,
      waitingSince: waitingSince ?? requestedAt,
      requestedAt,
      items: items.filter((item) => !history.includes(item) && !exclude.includes(item)),
    });
    const body = JSON.stringify({
      history,
      k,
      ...(exclude.length === 0 ? {} : { exclude }),
      ...(model === null ? {} : { model }),
    });
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body, signal: controller.signal };
    let answered: (status: number) => void = () => {};
    try {
      const response = await this.#wire.candidates(
        this.#address,
        init,
        (exchange) => this.#count(exchange, controller.signal.aborted),
        () => {
          answered = this.sent.note(this.#address, body);
        },
      );
      answered(response.status);
      if (controller.signal.aborted) return false;
      if (!response.ok) throw new Error(`HTTP status ${response.status}`);
      const { candidates } = (await response.json()) as { candidates: { item: string }[] };
      const since = this.#state().waitingSince;
      const now = performance.now();
      const ms = since === null ? 0 : now - since;
      this.#set({
        items: candidates.map(({ item }) => item),
        waitingSince: null,
        requestedAt: null,
        answeredMs: ms,
        lastMs: now - requestedAt,
        waitedMs: this.#state().waitedMs + (this.#followsClick ? ms : 0),
        problem: null,
      });
      return false;
    } catch {
      const { calls, problem } = this.#state();
      if (controller.signal.aborted) {
        // Given up for a newer click: it would have been answered if the server answers.
        if (problem !== null) this.#set({ calls: calls - 1 });
        return false;
      }
      this.#set({ waitingSince: null, requestedAt: null, problem: 'failing', calls: calls - 1 });
      return true;
    }
  }

  /** Without a network nothing is sent, and the old list stays. */
  offline(): void {
    this.#underWay?.abort();
    this.#set({ waitingSince: null, requestedAt: null, problem: 'offline' });
  }

  #count({ bytesUp, bytesDown, status }: Exchange, givenUp: boolean): void {
    // A request that failed carried nothing to the server.
    if (status === null && !givenUp) return;
    const state = this.#state();
    this.#set({ bytesUp: state.bytesUp + bytesUp, bytesDown: state.bytesDown + bytesDown });
  }
}
