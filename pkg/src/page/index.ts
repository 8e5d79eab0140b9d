export {
  ArtifactError,
  DeviceError,
  type ErrorCode,
  LifecycleError,
  ServerError,
  StorageError,
  TandemError,
  UsageError,
  type WireError,
} from '../shared/errors.js';
export type {
  Connection,
  Decision,
  DeliveredUpdate,
  Device,
  DeviceTrial,
  Explanation,
  HostedModel,
  LearnReport,
  Ledger,
  LedgerEntry,
  Progress,
  Pull,
  RankedItem,
  SimilarItem,
  Stats,
  Timings,
  TrackedEvent,
  Update,
  UpdateCause,
} from '../shared/update.js';
export { createRecommender } from './create.js';
export type { RecommenderOptions, RecommendOptions } from './options.js';
export { Recommender } from './recommender.js';
export type { Rule } from './rules.js';
export type { RecommenderEvents, RecommenderState } from './state.js';
export type {
  Change,
  JournalEntry,
  OutgoingEvent,
  PersonalStorage,
  Saved,
  StoredState,
} from './storage.js';
