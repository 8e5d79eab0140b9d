import type {
  Decision,
  Device,
  HostedModel,
  LearnReport,
  Progress,
  RankedItem,
  SearchMode,
  Update,
} from '@tandem-rec/client';
import type { Catalogue, ServiceStatus } from './catalogue.ts';
import { type CloudOnlyState, noCloudList } from './cloud-only.ts';
import type { ManifestChanges } from './wire.ts';

/** A decision with the number of clicks at that time (0: before the first click). */
export interface LoggedDecision extends Decision {
  click: number;
}

/** What was measured at one click. */
export interface ClickRecord {
  click: number;
  action: Decision['action'];
  reason: string;
  /** Time of the ranking itself, in the worker. */
  rerankMs: number;
  /** Time from the click until the page had the new order. */
  shownMs: number;
  /** `null` until the learning step has run. */
  learnMs: number | null;
  /** Duration of the request that the click led to; `null` without one. */
  requestMs: number | null;
  /** Whether the cloud could not answer this click: its time is not compared. */
  alone: boolean;
}

/** Settings of the recommender that the visitor of the demo can change. */
export interface Settings extends ManifestChanges {
  /** Lists that may be requested per minute; `null`: as calibrated. */
  callsPerMinute: number | null;
  search: Extract<SearchMode, 'auto' | 'off'>;
}

export const defaultSettings: Settings = {
  alpha: null,
  learning: true,
  callsPerMinute: null,
  search: 'auto',
};

/** Requests of Tandem for lists. */
export interface Traffic {
  /** Requests since the page was opened or cleared that were answered or are under way. */
  calls: number;
  bytesUp: number;
  /** Before compression. */
  bytesDown: number;
}

/** State of the page. Replaced as a whole at every change, never mutated. */
export interface ShopState {
  phase: 'loading' | 'ready' | 'failed';
  progress: Progress | null;
  failure: { code: string; message: string } | null;
  catalogue: Catalogue | null;
  status: ServiceStatus | null;
  /** Whether the server answered the newest request that tells; `null` before the first. */
  reached: boolean | null;
  /** The newest ranking. */
  update: Update | null;
  /** The items of the shelf: the ranking after the last action of the visitor. */
  shelf: readonly RankedItem[];
  /** Whether a newer list differs from the shelf; it is shown when the visitor asks for it. */
  newList: boolean;
  /** Items that leave the shelf at once, before the new ranking is there. */
  leaving: readonly string[];
  /** Clicks that wait for the small model. */
  queued: readonly string[];
  /** For items of the shelf: the watched films that raise them most. */
  reasons: ReadonlyMap<string, readonly string[]>;
  /** Whether the comparison with a cloud-only shop is shown. */
  comparing: boolean;
  cloud: CloudOnlyState;
  traffic: Traffic;
  /** Delay that is added to requests for lists, in milliseconds. */
  delayMs: number;
  device: Device;
  /** Why the requested device is not used; `null` if it is. */
  deviceNote: string | null;
  switching: boolean;
  settings: Settings;
  /** Language models of the server; empty until loaded. */
  models: readonly HostedModel[];
  /** The selected language model; `null`: the server's default. */
  model: string | null;
  consent: boolean;
  disliked: readonly string[];
  /** The last decision after an action of the visitor. */
  decision: Decision | null;
  decisions: readonly LoggedDecision[];
  steps: readonly LearnReport[];
  clicks: readonly ClickRecord[];
  /** Message of the last background error. */
  backgroundError: string | null;
  /** Description of the last change, for screen readers. */
  announcement: string;
}

export const initialState: ShopState = {
  phase: 'loading',
  progress: null,
  failure: null,
  catalogue: null,
  status: null,
  reached: null,
  update: null,
  shelf: [],
  newList: false,
  leaving: [],
  queued: [],
  reasons: new Map(),
  comparing: true,
  cloud: noCloudList,
  traffic: { calls: 0, bytesUp: 0, bytesDown: 0 },
  delayMs: 0,
  device: 'cpu',
  deviceNote: null,
  switching: false,
  settings: defaultSettings,
  models: [],
  model: null,
  consent: false,
  disliked: [],
  decision: null,
  decisions: [],
  steps: [],
  clicks: [],
  backgroundError: null,
  announcement: '',
};

/** What a session has counted and logged, at its start. */
export const newSession = {
  decision: null,
  decisions: [],
  steps: [],
  clicks: [],
  disliked: [],
  cloud: noCloudList,
  traffic: initialState.traffic,
} satisfies Partial<ShopState>;
