export interface OpenConfig {
  /** Where the server is; empty for this page's own. */
  server: string;
  /** The backend that is meant: refused if this module was built for the other. */
  device?: 'cpu' | 'webgpu';
  /** How long a list may take, in milliseconds (20,000). */
  timeoutMs?: number;
  /** Makes the jitter of retries repeatable. */
  seed?: number;
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
