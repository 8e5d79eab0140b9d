import type { WireError } from './errors.js';
import type {
  Device,
  DeviceTrial,
  Explanation,
  HostedModel,
  LearnReport,
  Ledger,
  Progress,
  SimilarItem,
  TrackedEvent,
  Update,
  UpdateCause,
} from './update.js';

/** What the worker needs to open a session. */
export interface OpenSettings {
  server: string;
  device: Device | 'auto';
  timeoutMs: number | null;
  /** Absolute address of the folder that holds `cpu/` and `webgpu/`; `null`: beside the worker. */
  wasmUrl: string | null;
  /** Sent as `Authorization: Bearer …`. */
  key: string | null;
  budget: { burst: number; perMinute: number } | null;
  /** The language model to ask; `null`: the server's first. */
  model: string | null;
  /** Whether files may be kept on this device. */
  consent: boolean;
  /** Requests are made by the page, with a function of its own. */
  pageFetch: boolean;
  /** The cloud is never asked for a list, and nothing but a disagreement is sent. */
  shadow: boolean;
  /** Kept off the network from the first. */
  offline: boolean;
  /** A lock to hold as long as the worker lives. */
  lock: string | null;
}

/** A session to go on with: its last snapshot, and the events since. */
export interface Restore {
  snapshot: Uint8Array | null;
  events: NumberedEvent[];
}

/** An event with its number in this page, from 1 and rising. */
export interface NumberedEvent {
  id: number;
  event: TrackedEvent;
}

/** What came of opening. */
export interface Opened {
  device: Device;
  /** Why it is not the device that was asked for. */
  fallback: WireError | null;
  /** What `auto` goes by; `null` if nothing was measured yet, or the device was chosen. */
  trial: DeviceTrial | null;
  /** The state before anything happened. */
  update: Update;
}

/** What the page asks of the worker. */
export type Command =
  | { type: 'open'; settings: OpenSettings; restore: Restore | null }
  | { type: 'track'; event: TrackedEvent; id: number; tab?: true }
  | { type: 'undo' }
  | { type: 'recommend' }
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
  /** Another tab changed the session as a whole. */
  | { type: 'restore'; restore: Restore }
  | { type: 'send'; path: string; body: string; why: string }
  | { type: 'ledger' }
  /** Whether there is a GPU that `auto` has not measured yet. */
  | { type: 'trialDue' }
  /** Measures both devices on a session; for a worker that does nothing else. */
  | { type: 'trial'; settings: OpenSettings; snapshot: Uint8Array };

/** What each command resolves with. */
export interface Results {
  open: Opened;
  track: Update;
  undo: { event: TrackedEvent | null; update: Update };
  recommend: Update;
  explain: Explanation | null;
  similar: SimilarItem[] | null;
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
  /** `null`: not measured, since another tab does it. */
  trial: DeviceTrial | null;
}

/** A request that the page is to make with a function of its own. */
export interface PageFetch {
  url: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body: string | null;
}

/** The answer to a {@link PageFetch}. */
export type PageFetched =
  | { status: number; headers: Record<string, string>; body: Uint8Array }
  | { error: string };

/**
 * Page to worker. `painted` acknowledges that an update has reached the screen, `fetched`
 * answers a `fetch`.
 */
export type ToWorker =
  | { kind: 'call'; id: number; command: Command }
  | { kind: 'painted'; sequence: number }
  | { kind: 'fetched'; id: number; answer: PageFetched };

/** Worker to page. */
export type ToPage =
  | { kind: 'result'; id: number; value: Results[keyof Results] }
  | { kind: 'failure'; id: number; error: WireError }
  /** The worker holds its lock: from now on its end can be noticed. */
  | { kind: 'alive' }
  | { kind: 'progress'; progress: Progress }
  | {
      kind: 'update';
      sequence: number;
      cause: UpdateCause;
      update: Update;
      /** The update's decision is acted on, not only carried along. */
      decided: boolean;
    }
  | { kind: 'learned'; report: LearnReport }
  /** The session at rest: all events up to `through` are in it, learnt from. */
  | { kind: 'snapshot'; bytes: Uint8Array; through: number }
  | { kind: 'fetch'; id: number; request: PageFetch }
  | { kind: 'abortFetch'; id: number }
  | { kind: 'fault'; error: WireError };
