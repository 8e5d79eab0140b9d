import type { Recommender, RecommenderOptions, TrackableEvent, Update } from '../page/index.js';
import { Opening, type OpeningListener } from './opening.js';

/** A recommender that several elements use. */
export interface Shared {
  /** `null` until it is open. */
  readonly recommender: Recommender | null;
  track(event: TrackableEvent): Promise<Update>;
  setConsent(granted: boolean): Promise<void>;
  /** The element does not use it any more; the last one disposes of it. */
  release(): void;
}

interface Entry {
  opening: Opening;
  recommender: Recommender | null;
  listeners: Set<OpeningListener>;
}

const entries = new Map<string, Entry>();

/** The recommender of all elements with the same server, profile, user and events. */
export function share(options: RecommenderOptions, listener: OpeningListener): Shared {
  const { server, profile, userId, events } = options;
  const key = JSON.stringify([server, profile, userId, events]);
  const entry = entries.get(key) ?? open(options, () => entries.delete(key));
  entries.set(key, entry);
  entry.listeners.add(listener);
  const { recommender } = entry;
  if (recommender !== null) listener.opened(recommender);
  return {
    get recommender() {
      return entry.recommender;
    },
    track: (event) => entry.opening.track(event),
    setConsent: (granted) => entry.opening.setConsent(granted),
    release: () => {
      entry.listeners.delete(listener);
      if (entry.listeners.size > 0) return;
      entry.opening.close();
      if (entries.get(key) === entry) entries.delete(key);
    },
  };
}

/** `onFailure`: the next element tries again. */
function open(options: RecommenderOptions, onFailure: () => void): Entry {
  const listeners = new Set<OpeningListener>();
  const entry: Entry = {
    listeners,
    recommender: null,
    opening: new Opening(options, {
      opened: (recommender) => {
        entry.recommender = recommender;
        for (const listener of [...listeners]) listener.opened(recommender);
      },
      failed: (error) => {
        // Once, however many elements share it: they show nothing.
        console.error(`<tandem-list>: ${error.message}`);
        onFailure();
        for (const listener of [...listeners]) listener.failed(error);
      },
    }),
  };
  return entry;
}
