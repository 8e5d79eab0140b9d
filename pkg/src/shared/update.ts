/** Where the small model runs. */
export type Device = 'cpu' | 'webgpu';

/**
 * Something a visitor did with an item.
 *
 * `click` and `purchase` join the history and are learnt from; `view` says that an item was
 * seen and not opened, is accepted and not used yet; a `dislike` is never recommended again
 * in this session.
 */
export interface TrackedEvent {
  type: 'click' | 'view' | 'purchase' | 'dislike';
  /** The shop's own name of the item. */
  item: string;
}

/** Why an item stands where it does. */
export interface Explanation {
  /** What each model says of it. */
  item: RankedItem;
  /** Its place in the fused order, from 0. */
  rank: number;
  /** How many items were ranked. */
  of: number;
  /** What the newest items of the history (at most ten) did to it, strongest first. */
  pulls: Pull[];
}

/** What one item of the history does to a recommended one. */
export interface Pull {
  item: string;
  /**
   * By how much the small model's score (a logit) is further above the mean of the list than
   * it would be without this item; negative if the item pushes it down.
   */
  pull: number;
}

/** An item like another one. */
export interface SimilarItem {
  item: string;
  /** Cosine of the two items as this visitor's model has them, -1 to 1. */
  similarity: number;
}

/** A language model that the server hosts. */
export interface HostedModel {
  name: string;
  /** Whether it is loaded; what follows is known only then. */
  ready: boolean;
  /** Whether it knows items by their titles, or by one token an item. */
  engine?: 'titles' | 'item_tokens';
  /** SHA-256 of its GGUF file. */
  sha256?: string;
}

/** Something that was sent from this device, or asked for. */
export interface LedgerEntry {
  /** When, in milliseconds since 1970, by this device's clock. */
  at: number;
  method: 'GET' | 'POST';
  /** Where to. */
  url: string;
  /** Why, in words. */
  why: string;
  /** What: the body, as it was sent; `null` for a GET. */
  body: string | null;
  /** Bytes of the body. */
  bytes: number;
  /** Status of the answer; `null` if there was none (yet). */
  status: number | null;
}

/** All that was sent; see {@link LedgerEntry}. */
export interface Ledger {
  /** Oldest first; the newest 500, or fewer where their bodies are more than 64 KB. */
  entries: LedgerEntry[];
  /** Requests that are too old to be listed. */
  dropped: number;
  /** Bytes of all bodies, those of dropped entries included. */
  bytes: number;
}

/** One recommended item with the two opinions it was made from. */
export interface RankedItem {
  item: string;
  /** The fused score; higher is better, comparable within one list only. */
  score: number;
  /** Position in the language model's list, from 0. */
  llmRank: number;
  /** Position in the small model's order of the same list, from 0. */
  srmRank: number;
  /** The language model's log-probability, in nats. */
  logprob: number;
  /** The small model's score (a logit); `null` without a history to score by. */
  srmScore: number | null;
}

/** Whether the cloud is asked for a new list, and why. */
export interface Decision {
  action: 'keep' | 'request';
  /** The reason for programs. */
  code: string;
  /** The reason in words, with its figures. */
  reason: string;
  /** How far the two rankings are apart, 0 to 1; `null` while there are not two. */
  disagreement: number | null;
  /** The disagreement from which on a new list is asked for. */
  threshold: number;
  /**
   * Milliseconds until the same decision could turn out otherwise by the passing of time
   * alone: a failed call's back-off, a spent budget. `null` where time changes nothing.
   */
  waitMs: number | null;
}

/** What is known about the way to the server. */
export interface Connection {
  state: 'online' | 'offline' | 'failing';
  /** The last failure for programs; `null` when there is none. */
  code: string | null;
  /** The last failure in words. */
  message: string | null;
  /** Milliseconds until the server is tried again; `null` when no retry is planned. */
  retryInMs: number | null;
}

/** Counters of the session since it was opened. */
export interface Stats {
  clicks: number;
  /** Requests to the language model that were answered. */
  calls: number;
  failedCalls: number;
  /** Bytes of request bodies. */
  bytesUp: number;
  /** Bytes of answers and artefacts. */
  bytesDown: number;
  /** Age of the candidate list in milliseconds; `null` while there is none. */
  listAgeMs: number | null;
  clicksSinceList: number;
  learnSteps: number;
  /** Scores that were not finite numbers and were left out. */
  nonFinite: number;
}

/** Where the time of an update went, in milliseconds. */
export interface Timings {
  /** Scoring and fusing the candidates on the device. */
  rerankMs: number;
  /** The last request, from the device's side; `null` before the first. */
  requestMs: number | null;
  /** The part of it that the server reports as its own. */
  serverMs: number | null;
}

/** The state of the recommendations after something happened. */
export interface Update {
  /** Fused order, best first. */
  items: RankedItem[];
  decision: Decision;
  /** What the candidate list in use is ordered by; `null` while there is none. */
  ranking: 'language_model' | 'popularity' | null;
  /** Name of the language model that made the list. */
  model: string | null;
  connection: Connection;
  stats: Stats;
  timings: Timings;
  /** The session's items, oldest first. */
  history: string[];
}

/**
 * Why an update was sent: the visitor did something or took it back, here or in another tab
 * (`tab`); a new list came; another language model was chosen (`model`); the connection was
 * switched or tried again; the session was forgotten or brought in; the server's catalogue
 * was another one (`catalogue`); a new worker took over from one that died (`restart`).
 */
export type UpdateCause =
  | 'event'
  | 'undo'
  | 'tab'
  | 'request'
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
  /** Counts the updates of this recommender, from 1. */
  sequence: number;
}

/** One learning step on the device. */
export interface LearnReport {
  /** Counts the steps of the session, from 1. */
  step: number;
  lossBefore: number;
  lossAfter: number;
  ms: number;
}

/** What `auto` measured on this device: the same clicks, ranked and learnt from, on both. */
export interface DeviceTrial {
  /** The GPU's maker and kind, as the browser names them. */
  adapter: string;
  /** The one that was faster. */
  device: Device;
  /** Median milliseconds for a click on the CPU. */
  cpuMs: number;
  /** The same on WebGPU. */
  webgpuMs: number;
}

/** How far opening has come. */
export interface Progress {
  /** `runtime`: the WebAssembly file; `model`: manifest and weights; `ready`: done. */
  phase: 'runtime' | 'model' | 'ready';
  /** Bytes so far of this phase (0 where they are not counted). */
  loaded: number;
  /** Bytes of this phase; `null` if unknown. */
  total: number | null;
}
