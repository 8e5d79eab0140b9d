import type { WireError } from './errors.js';
import type {
  Budget,
  ClientUpdate,
  Deeper,
  HistoryChange,
  HostedModel,
  LearnReport,
  SearchMode,
  TrackedEvent,
} from './generated.js';
import type {
  DescribedExplanation,
  DescribedSimilarItem,
  Device,
  DeviceTrial,
  ItemDetails,
  Ledger,
  Progress,
  RecommendedItem,
  Update,
  UpdateCause,
} from './update.js';

/** Options of the worker to open a session. */
export interface OpenSettings {
  server: string;
  device: Device | 'auto';
  timeoutMs: number | null;
  /** Absolute address of the folder with `cpu/` and `webgpu/`; `null`: beside the worker. */
  wasmUrl: string | null;
  /** Sent as `Authorization: Bearer …`. */
  key: string | null;
  budget: Budget | null;
  search: SearchMode;
  /** Memory for cells in bytes; `null`: the default. */
  searchMemory: number | null;
  /** Counts take part in the ranking; `null`: they do. */
  counts: boolean | null;
  /** Items of the history may be recommended again; `null`: as the manifest says. */
  repeats: boolean | null;
  /** The items that can be recommended; `null`: all. */
  available: string[] | null;
  excluded: Excluded;
  /** The language model for the lists; `null`: the server's default. */
  model: string | null;
  /** Whether files may be stored on this device. */
  consent: boolean;
  /** The page makes the requests, with a function of its own. */
  pageFetch: boolean;
  /** No lists are requested; only a disagreement is sent. */
  shadow: boolean;
  /** The network is forbidden from the start. */
  offline: boolean;
  /** Name of a lock that the worker holds while it lives. */
  lock: string | null;
}

/** Items that are never recommended; `send`: also named in requests for lists. */
export interface Excluded {
  items: string[];
  send: boolean;
}

/** A session to continue: its last snapshot, and the events since. */
export interface Restore {
  snapshot: Uint8Array | null;
  events: NumberedEvent[];
}

/** An event with its number on this page, counted from 1. */
export interface NumberedEvent {
  id: number;
  event: TrackedEvent;
}

/** The result of opening. */
export interface Opened {
  device: Device;
  /** Why it is not the requested device. */
  fallback: WireError | null;
  /** The measurement that `auto` uses; `null` without one, or if the device was chosen. */
  trial: DeviceTrial | null;
  /** The state after opening. */
  update: Update;
}

/** Calls of the page to the worker. */
export type Command =
  | { type: 'open'; settings: OpenSettings; restore: Restore | null }
  | { type: 'track'; event: TrackedEvent; id: number; tab?: true }
  | { type: 'undo' }
  /** `waitMs`: how long to wait for a list if there is nothing to recommend. */
  | { type: 'recommend'; waitMs: number }
  /** A longer ranking, with the best `k` items of the search. */
  | { type: 'deeper'; k: number }
  /**
   * Fetches further cells. Not if rows or cells have arrived since the ranking with `arrivals`.
   * Resolves with whether a new ranking may have more items.
   */
  | { type: 'further'; arrivals: number }
  | { type: 'setAvailable'; items: string[] | null }
  | { type: 'setExcluded'; excluded: Excluded }
  | { type: 'explain'; item: string }
  | { type: 'similar'; item: string; k: number }
  | { type: 'compare'; items: string[] }
  | { type: 'models' }
  | { type: 'useModel'; name: string | null }
  | { type: 'setOffline'; offline: boolean }
  | { type: 'setConsent'; granted: boolean }
  | { type: 'reset' }
  | { type: 'export' }
  | { type: 'import'; bytes: Uint8Array }
  /** Another tab replaced the session. */
  | { type: 'restore'; restore: Restore }
  | { type: 'send'; path: string; body: string; why: string }
  | { type: 'ledger' }
  /** Whether there is a GPU that `auto` has not measured yet. */
  | { type: 'trialDue' }
  /** Measures both devices on a session, in a worker that does nothing else. */
  | { type: 'trial'; settings: OpenSettings; snapshot: Uint8Array };

/** How often rows or cells had arrived when a ranking was made. */
export interface Arrivals {
  arrivals: number;
}

/** Result of each command. */
export interface Results {
  open: Opened;
  track: Update;
  undo: { event: TrackedEvent | null; update: Update };
  recommend: Arrivals & { update: Update };
  deeper: Arrivals & Deeper & { items: RecommendedItem[] };
  further: boolean;
  setAvailable: Update;
  setExcluded: Update;
  explain: DescribedExplanation | null;
  similar: DescribedSimilarItem[] | null;
  compare: number | null;
  models: HostedModel[];
  useModel: Update;
  setOffline: Update;
  setConsent: null;
  reset: Update;
  export: Uint8Array;
  import: Update;
  restore: Update;
  send: null;
  ledger: Ledger;
  trialDue: boolean;
  /** `null`: another tab is measuring. */
  trial: DeviceTrial | null;
}

/** A request for the page to make with a function of its own. */
export interface PageFetch {
  url: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body: string | null;
}

/** The response to a {@link PageFetch}. */
export type PageFetched =
  | { status: number; headers: Record<string, string>; body: Uint8Array }
  | { error: string };

/**
 * Messages from the page to the worker. `painted`: an update is on the screen; `fetched`: the
 * response to a `fetch`; `lock`: whether the worker should hold its lock.
 */
export type ToWorker =
  | { kind: 'call'; id: number; command: Command }
  | { kind: 'lock'; held: boolean }
  | { kind: 'painted'; sequence: number }
  | { kind: 'fetched'; id: number; answer: PageFetched };

/** An {@link Update} as the worker sends it: once, and with only the change of the history. */
export interface SentUpdate extends ClientUpdate {
  history: HistoryChange;
}

/** What the catalogue's file says about an item; see {@link RecommendedItem}. */
export interface Description extends ItemDetails {
  item: string;
}

/** How an update is delivered to listeners. */
export interface Delivery {
  sequence: number;
  cause: UpdateCause;
  /** Whether the worker acts on the update's decision. */
  decided: boolean;
}

/** Messages from the worker to the page. */
export type ToPage =
  /**
   * The result of a call. One that has an update resolves with it, or, if `value` is not
   * `null`, with `value` and the update as a further field.
   */
  | {
      kind: 'result';
      id: number;
      value: unknown;
      update?: SentUpdate;
      /** Listeners get the update as well. */
      delivery?: Delivery;
      /** Descriptions of items of this and later messages, each sent once. */
      described?: Description[];
    }
  | { kind: 'failure'; id: number; error: WireError }
  /** An update that is not the result of a call. */
  | { kind: 'update'; update: SentUpdate; delivery: Delivery; described: Description[] }
  /** The worker holds its lock: from now on the page can notice its end. */
  | { kind: 'alive' }
  | { kind: 'progress'; progress: Progress }
  | { kind: 'learned'; report: LearnReport }
  /** The session after learning; it includes all events up to `through`. */
  | { kind: 'snapshot'; bytes: Uint8Array; through: number }
  | { kind: 'fetch'; id: number; request: PageFetch }
  | { kind: 'abortFetch'; id: number }
  | { kind: 'fault'; error: WireError };
