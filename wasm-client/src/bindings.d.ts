export interface OpenConfig {
  /** Where the server is; empty for this page's own. */
  server: string;
  /** The backend that is meant: refused if this module was built for the other. */
  device?: 'cpu' | 'webgpu';
  /** How long a list may take, in milliseconds (20,000). */
  timeoutMs?: number;
  /** Makes the jitter of retries repeatable. */
  seed?: number;
  /** How often the cloud may be asked; the manifest's own limit if absent. */
  budget?: { burst: number; perMinute: number };
}
/** A request; `body` is JSON to post, absent for a GET. */
export interface Call {
  url: string;
  body?: string;
  timeoutMs: number;
  /** Why it is made, in words. */
  why: string;
  /** SHA-256 of the content, where it is known: what it may be cached under. */
  sha256?: string;
  /** Past every cache: the copy in it was damaged. */
  fresh: boolean;
}
export interface Reply {
  status: number;
  retryAfter?: string | undefined;
  /** The header `x-artifacts`. */
  artifacts?: string | undefined;
  body: Uint8Array;
  /** It came from a cache of this device. */
  cached: boolean;
}
/** What sends requests; throws `{ code, message }` with unreachable, timeout or aborted. */
export interface Network {
  send(number: number, call: Call): Promise<Reply>;
  /** Ends the request of this number; without effect once that is over. */
  abort(number: number): void;
}
export interface Undone {
  event: TrackedEvent | null;
  update: Update;
}
/** `rank` and the models' ranks count from 0, among `of` items. */
export interface Explanation {
  item: Update['items'][number];
  rank: number;
  of: number;
  pulls: { item: string; pull: number }[];
}
export interface SimilarItem {
  item: string;
  similarity: number;
}
export interface TrackedEvent {
  type: 'click' | 'view' | 'purchase' | 'dislike';
  item: string;
}
export interface Update {
  /** Fused order, best first; ranks from 0. `srmScore` is null without a history to score by. */
  items: { item: string; score: number; llmRank: number; srmRank: number; logprob: number; srmScore: number | null }[];
  decision: { action: 'keep' | 'request'; code: string; reason: string; disagreement: number | null; threshold: number; waitMs: number | null };
  /** Of the list in use; null while there is none. */
  ranking: 'language_model' | 'popularity' | null;
  model: string | null;
  connection: { state: 'online' | 'offline' | 'failing'; code: string | null; message: string | null; retryInMs: number | null };
  /** Calls, failures and learning steps of this session; bytes since the client was opened. */
  stats: { clicks: number; calls: number; failedCalls: number; bytesUp: number; bytesDown: number; listAgeMs: number | null; clicksSinceList: number; learnSteps: number; nonFinite: number };
  timings: { rerankMs: number; requestMs: number | null; serverMs: number | null };
  history: string[];
}
export interface LearnReport {
  step: number;
  lossBefore: number;
  lossAfter: number;
  ms: number;
}
export interface ParityOutcome {
  scores: number[];
  loss: number;
  scoresAfter: number[];
}
