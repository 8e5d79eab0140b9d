import type { ClientUpdate, Explanation, RankedItem, SimilarItem } from './generated.js';

/** The device on which the small model runs. */
export type Device = 'cpu' | 'webgpu';

/** A request of this device to the server. */
export interface LedgerEntry {
  /** Time in milliseconds since 1970, by this device's clock. */
  at: number;
  method: 'GET' | 'POST';
  url: string;
  /** The purpose, in words. */
  why: string;
  /** The body as it was sent; `null` for a GET. */
  body: string | null;
  /** Size of the body in bytes. */
  bytes: number;
  /** HTTP status of the response; `null` without a response (yet). */
  status: number | null;
}

/** All requests to the server; see {@link LedgerEntry}. */
export interface Ledger {
  /**
   * Oldest first. Of the worker's requests, and of those that outlive the page, each the newest
   * 500, or fewer if their bodies exceed 64 KB.
   */
  entries: LedgerEntry[];
  /** Number of older requests, which are not listed. */
  dropped: number;
  /** Bytes of all bodies, including those of dropped entries. */
  bytes: number;
}

/**
 * What the catalogue says about an item, for display. The device knows it if it loads the whole
 * item table ({@link RecommenderOptions.search}), not on catalogues in cells.
 */
export interface ItemDetails {
  /** Absent if it is not known, or if the catalogue has none. */
  title?: string;
  /** The catalogue's other fields, such as `year` and `genres`; absent without any. */
  fields?: Readonly<Record<string, unknown>>;
}

/** A recommended item with the scores of each model, and with its title. */
export interface RecommendedItem extends RankedItem, ItemDetails {}

/** An {@link Explanation} whose item has its title. */
export interface DescribedExplanation extends Explanation {
  item: RecommendedItem;
}

/** A {@link SimilarItem} with its title. */
export interface DescribedSimilarItem extends SimilarItem, ItemDetails {}

/** The state of the recommendations after an event. */
export interface Update extends ClientUpdate {
  /** Best first. */
  items: RecommendedItem[];
  /** The session's items, oldest first. */
  history: string[];
}

/** The result of {@link Recommender.recommend}. */
export interface Recommendations extends Update {
  /**
   * Random id of this result, for the site's own measurements: which result led to a click. It
   * is sent only if the page passes it with an event ({@link Recommender.track}).
   */
  recommendation: string;
}

/**
 * The cause of an update: an event or its undo, here or in another tab (`tab`); a new
 * candidate list (`request`); rows or cells that the search was missing (`search`); other
 * available or excluded items (`stock`); another language model (`model`); the network switched
 * on or off (`connection`), or tried again (`retry`); a reset or an import; a new catalogue on
 * the server (`catalogue`); a new worker in place of one that died (`restart`).
 */
export type UpdateCause =
  | 'event'
  | 'undo'
  | 'tab'
  | 'request'
  | 'search'
  | 'stock'
  | 'model'
  | 'connection'
  | 'retry'
  | 'reset'
  | 'import'
  | 'catalogue'
  | 'restart';

/** An {@link Update} as listeners get it. */
export interface DeliveredUpdate extends Update {
  cause: UpdateCause;
  /** Number of the update, from 1. */
  sequence: number;
}

/** Durations of the same clicks (ranking and learning) on both devices, as `auto` measured them. */
export interface DeviceTrial {
  /** The GPU's vendor and architecture, as the browser names them. */
  adapter: string;
  /** The faster device. */
  device: Device;
  /** Median milliseconds per click on the CPU. */
  cpuMs: number;
  /** The same on WebGPU. */
  webgpuMs: number;
}

/** Progress of opening. */
export interface Progress {
  /** `runtime`: the WebAssembly file; `model`: manifest and weights; `ready`: done. */
  phase: 'runtime' | 'model' | 'ready';
  /** Bytes of this phase so far (0 where they are not counted). */
  loaded: number;
  /** Total bytes of this phase; `null` if unknown. */
  total: number | null;
}
