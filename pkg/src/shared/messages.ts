import type { WireError } from './errors.js';
import type { Device, LearnReport, Progress, TrackedEvent, Update, UpdateCause } from './update.js';

/** What the worker needs to open a session. */
export interface OpenSettings {
  server: string;
  device: Device;
  timeoutMs: number | null;
  /** Absolute address of the folder that holds `cpu/` and `webgpu/`; `null`: beside the worker. */
  wasmUrl: string | null;
}

/** What came of opening. */
export interface Opened {
  device: Device;
  /** Why it is not the device that was asked for. */
  fallback: WireError | null;
  /** The state before anything happened. */
  update: Update;
}

/** What the page asks of the worker. */
export type Command =
  | { type: 'open'; settings: OpenSettings }
  | { type: 'track'; event: TrackedEvent }
  | { type: 'recommend' }
  | { type: 'setOffline'; offline: boolean }
  | { type: 'reset' }
  | { type: 'export' }
  | { type: 'import'; bytes: Uint8Array };

/** What each command resolves with. */
export interface Results {
  open: Opened;
  track: Update;
  recommend: Update;
  setOffline: Update;
  reset: Update;
  export: Uint8Array;
  import: Update;
}

/** Page to worker. `painted` acknowledges that an update has reached the screen. */
export type ToWorker =
  | { kind: 'call'; id: number; command: Command }
  | { kind: 'painted'; sequence: number };

/** Worker to page. */
export type ToPage =
  | { kind: 'result'; id: number; value: Results[keyof Results] }
  | { kind: 'failure'; id: number; error: WireError }
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
  | { kind: 'fault'; error: WireError };
