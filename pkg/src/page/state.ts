import type { TandemError, WireError } from '../shared/errors.js';
import type { Connection, Decision, LearnReport, Stats } from '../shared/generated.js';
import type { DeliveredUpdate, Device, DeviceTrial } from '../shared/update.js';

/** Events of {@link Recommender.on}, with what their listeners get. */
export interface RecommenderEvents {
  /** The recommendations changed. */
  update: DeliveredUpdate;
  /** The device decided whether to call the cloud, and acts on it. */
  decision: Decision;
  /** The device made one learning step. */
  learn: LearnReport;
  /** The state of the connection changed, in either direction. */
  offline: Connection;
  /**
   * A failure that does not reject a call. With code `unknown_item` it is a warning: the server
   * does not know the item of an event. Errors before the first listener is added are
   * delivered to it.
   */
  error: TandemError;
}

/** The names of all events. */
export const EVENT_NAMES: readonly (keyof RecommenderEvents)[] = [
  'update',
  'decision',
  'learn',
  'offline',
  'error',
];

/** The state of a recommender, for display; see {@link Recommender.state}. */
export interface RecommenderState {
  /** `failed`: no worker can be started; only {@link Recommender.dispose} still works. */
  status: 'ready' | 'failed' | 'disposed';
  /** The device on which the small model runs. */
  device: Device;
  /** Why it is not the requested device; `null` if it is. */
  deviceFallback: WireError | null;
  /** The measurement of `auto`, in this visit or before; `null` without one. */
  deviceTrial: DeviceTrial | null;
  /** Whether the visitor agreed to storage on this device. */
  consent: boolean;
  /** Where the session is stored: `memory` without consent, or after the storage failed. */
  storage: 'memory' | 'device';
  /** Why the storage failed; `null` if it did not. */
  storageFault: WireError | null;
  /**
   * The name under which events are logged, by which the site can delete them; `null` without
   * `events: true`, and before the first event if there is no `userId`.
   */
  visitor: string | null;
  /** The selected language model; `null`: the server's default. */
  model: string | null;
  connection: Connection;
  decision: Decision;
  stats: Stats;
  /** The session's items, oldest first. */
  history: readonly string[];
  /** The last learning step; `null` before the first. */
  learned: LearnReport | null;
}
