/** Vue: a plugin that opens the recommender, and composables. */
import {
  type App,
  type ComputedRef,
  computed,
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  type Plugin,
  type ShallowRef,
  shallowRef,
  toValue,
  watch,
} from 'vue';
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

/** The recommender of an application. */
export interface TandemContext {
  /** `null` until it is open. */
  readonly recommender: Readonly<ShallowRef<Recommender | null>>;
  /** Why it could not be opened; otherwise `null`. */
  readonly error: Readonly<ShallowRef<TandemError | null>>;
  /** Tracks an event, once the recommender is open. */
  track(event: TrackableEvent): Promise<Update>;
}

const KEY: InjectionKey<TandemContext> = Symbol('tandem');

/**
 * A plugin for `app.use()`: opens a recommender and disposes of it when the application is
 * unmounted. On a server it does nothing.
 */
export function createTandem(options: RecommenderOptions): Plugin {
  return {
    install(app: App): void {
      const recommender = shallowRef<Recommender | null>(null);
      const error = shallowRef<TandemError | null>(null);
      let opening: Opening | null = null;
      app.provide(KEY, {
        recommender,
        error,
        track: (event) =>
          opening?.track(event) ??
          Promise.reject(new LifecycleError('disposed', 'there is no recommender on a server')),
      });
      if (typeof window === 'undefined') return;
      const opened = new Opening(options, {
        opened: (ready) => {
          recommender.value = ready;
        },
        failed: (reason) => {
          error.value = reason;
        },
      });
      opening = opened;
      app.onUnmount(() => opened.close());
    },
  };
}

/** The recommender of the application. */
export function useTandem(): TandemContext {
  const context = inject(KEY, null);
  if (context === null) throw new Error('expected app.use(createTandem({ server: … }))');
  return context;
}

/** A list that follows the session; its parts are reactive. */
export interface RecommendationsRefs extends Pick<TandemContext, 'track'> {
  readonly items: ComputedRef<ListState['items']>;
  readonly decision: ComputedRef<ListState['decision']>;
  readonly recommendation: ComputedRef<ListState['recommendation']>;
  readonly status: ComputedRef<ListState['status']>;
  readonly error: ComputedRef<ListState['error']>;
}

/**
 * A list that follows the session. Options may be a ref or a getter; the list is ranked again
 * when they change.
 */
export function useRecommendations(
  options: MaybeRefOrGetter<RecommendOptions> = {},
): RecommendationsRefs {
  const { recommender, error, track } = useTandem();
  const state = shallowRef(LOADING);
  let source: ListSource | null = null;
  watch(
    [recommender, error],
    ([opened, reason], _, onCleanup) => {
      if (reason !== null) state.value = failed(reason);
      if (opened === null) return;
      const list = new ListSource(opened, () => toValue(options));
      source = list;
      onCleanup(
        list.subscribe(() => {
          state.value = list.state;
        }),
      );
    },
    { immediate: true },
  );
  watch(
    () => toValue(options),
    () => source?.refresh(),
  );
  return {
    items: computed(() => state.value.items),
    decision: computed(() => state.value.decision),
    recommendation: computed(() => state.value.recommendation),
    status: computed(() => state.value.status),
    error: computed(() => state.value.error),
    track,
  };
}
