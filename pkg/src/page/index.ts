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
  Action,
  Budget,
  ClientUpdate,
  Connection,
  ConnectionState,
  Contribution,
  Decision,
  EngineKind,
  EventKind,
  Explanation,
  HostedModel,
  ItemId,
  LearnReport,
  RankedItem,
  Ranking,
  ReasonCode,
  SearchMode,
  SimilarItem,
  Stats,
  Timings,
  TrackedEvent,
  WireErrorCode,
} from '../shared/generated.js';
export type {
  DeliveredUpdate,
  DescribedExplanation,
  DescribedSimilarItem,
  Device,
  DeviceTrial,
  ItemDetails,
  Ledger,
  LedgerEntry,
  Progress,
  Recommendations,
  RecommendedItem,
  Update,
  UpdateCause,
} from '../shared/update.js';
export type { TrackableEvent } from './check.js';
export { createRecommender } from './create.js';
export type { RecommenderOptions } from './options.js';
export { Recommender } from './recommender.js';
export type { Rule } from './rules.js';
export type { RecommendOptions } from './selection.js';
export type { RecommenderEvents, RecommenderState } from './state.js';
export type {
  Change,
  JournalEntry,
  OutgoingEvent,
  PersonalStorage,
  Saved,
  StoredState,
} from './storage.js';
export type { MissingFeature } from './support.js';
export type { TrustedAddress } from './worker-script.js';
