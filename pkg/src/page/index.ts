export {
  ArtifactError,
  DeviceError,
  type ErrorCode,
  LifecycleError,
  ServerError,
  TandemError,
  UsageError,
  type WireError,
} from '../shared/errors.js';
export type {
  Connection,
  Decision,
  DeliveredUpdate,
  Device,
  LearnReport,
  Progress,
  RankedItem,
  Stats,
  Timings,
  TrackedEvent,
  Update,
  UpdateCause,
} from '../shared/update.js';
export type { RecommenderOptions, RecommendOptions } from './options.js';
export {
  createRecommender,
  Recommender,
  type RecommenderEvents,
  type RecommenderState,
} from './recommender.js';
