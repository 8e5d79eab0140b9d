/** React: a provider for the recommender, and hooks. */
import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import {
  LifecycleError,
  type Recommender,
  type RecommenderOptions,
  type RecommendOptions,
  type TandemError,
  type TrackableEvent,
  type Update,
} from '../page/index.js';
import { failed, ListSource, type ListState, LOADING } from './list.js';
import { Opening } from './opening.js';

export type { ListState } from './list.js';

/** The recommender of a provider. */
export interface TandemContext {
  /** `null` until it is open. */
  readonly recommender: Recommender | null;
  /** Why it could not be opened; otherwise `null`. */
  readonly error: TandemError | null;
  /** Tracks an event, once the recommender is open. */
  track(event: TrackableEvent): Promise<Update>;
}

/** Properties of {@link TandemProvider}. */
export interface TandemProviderProps {
  /**
   * Options of the recommender, which is opened on mount and disposed of on unmount. Another
   * `server`, `profile` or `userId` opens another one, and a change of `consent` is passed on.
   * Other changes have no effect.
   */
  options: RecommenderOptions;
  children?: ReactNode;
}

const Context = createContext<TandemContext | null>(null);

const unopened = (): Promise<Update> =>
  Promise.reject(new LifecycleError('disposed', 'the provider is not mounted'));

/** Opens a recommender for the components below it. */
export function TandemProvider({ options, children }: TandemProviderProps): ReactElement {
  const [state, setState] = useState<Pick<TandemContext, 'recommender' | 'error'>>({
    recommender: null,
    error: null,
  });
  const opening = useRef<Opening | null>(null);
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });

  const { server, profile, userId, consent } = options;
  // biome-ignore lint/correctness/useExhaustiveDependencies: these options open another recommender
  useEffect(() => {
    const opened = new Opening(latest.current, {
      opened: (recommender) => setState({ recommender, error: null }),
      failed: (error) => setState({ recommender: null, error }),
    });
    opening.current = opened;
    return () => {
      opened.close();
      opening.current = null;
      setState({ recommender: null, error: null });
    };
  }, [server, profile, userId]);

  const { recommender } = state;
  useEffect(() => {
    if (recommender === null || consent === undefined) return;
    // A failure of the storage is an `error` event.
    if (recommender.state().consent !== consent) {
      recommender.setConsent(consent).catch(() => undefined);
    }
  }, [recommender, consent]);

  const track = useCallback(
    (event: TrackableEvent) => opening.current?.track(event) ?? unopened(),
    [],
  );
  const value = useMemo(() => ({ ...state, track }), [state, track]);
  return createElement(Context.Provider, { value }, children);
}

/** The recommender of the nearest {@link TandemProvider}. */
export function useTandem(): TandemContext {
  const context = useContext(Context);
  if (context === null) throw new Error('expected a <TandemProvider> around this component');
  return context;
}

/**
 * A list that follows the session. It is ranked again when `k`, `placement`, `diversity` or a
 * value in `dependencies` changes, for example one that `filter` uses.
 */
export function useRecommendations(
  options: RecommendOptions = {},
  dependencies: readonly unknown[] = [],
): ListState & Pick<TandemContext, 'track'> {
  const { recommender, error, track } = useTandem();
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const source = useMemo(
    () => (recommender === null ? null : new ListSource(recommender, () => latest.current)),
    [recommender],
  );
  const subscribe = useCallback(
    (changed: () => void) => source?.subscribe(changed) ?? (() => undefined),
    [source],
  );
  const unopenedState = useMemo(() => (error === null ? LOADING : failed(error)), [error]);
  const state = useSyncExternalStore(
    subscribe,
    () => source?.state ?? unopenedState,
    () => LOADING,
  );
  const { k, placement, diversity } = options;
  const ranked = useRef<ListSource | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of these ranks again
  useEffect(() => {
    // The first ranking belongs to the subscription.
    if (ranked.current === source) source?.refresh();
    ranked.current = source;
  }, [source, k, placement, diversity, ...dependencies]);
  return useMemo(() => ({ ...state, track }), [state, track]);
}
