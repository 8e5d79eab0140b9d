import type { TandemError, WireError } from '../shared/errors.js';
import type {
  Connection,
  Decision,
  DeliveredUpdate,
  Device,
  DeviceTrial,
  LearnReport,
  Stats,
} from '../shared/update.js';

/** What {@link Recommender.on} can be asked to tell, and what its listeners get. */
export interface RecommenderEvents {
  /** The list or what is known about it changed. */
  update: DeliveredUpdate;
  /** The device decided anew whether the cloud is called, and acts on it. */
  decision: Decision;
  /** The device made one learning step. */
  learn: LearnReport;
  /** The connection went from one state to another, in either direction. */
  offline: Connection;
  /** Something failed that no call of yours is waiting for. */
  error: TandemError;
}

/** A snapshot, for showing; see {@link Recommender.state}. */
export interface RecommenderState {
  /** `failed`: no worker can be had; nothing works any more but {@link Recommender.dispose}. */
  status: 'ready' | 'failed' | 'disposed';
  /** Where the small model really runs. */
  device: Device;
  /** Why it is not the device that was asked for; `null` if it is. */
  deviceFallback: WireError | null;
  /** What `auto` measured, at this visit or before; `null` if nothing. */
  deviceTrial: DeviceTrial | null;
  /** Whether the visitor agreed that things are kept on this device. */
  consent: boolean;
  /** Whether they are: `memory` without consent, or where the storage failed. */
  storage: 'memory' | 'device';
  /** Why the storage failed; `null` if it did not. */
  storageFault: WireError | null;
  /** The language model that was chosen; `null`: the server's first. */
  model: string | null;
  connection: Connection;
  decision: Decision;
  stats: Stats;
  /** The session's items, oldest first. */
  history: readonly string[];
  /** The last learning step; `null` before the first. */
  learned: LearnReport | null;
}
