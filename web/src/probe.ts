import type { DeliveredUpdate } from '@tandem-rec/client';
import type { Shop, ShopEvent, ShopRecommender } from './shop.ts';

/** Maximum number of recorded events. */
const MAX_EVENTS = 1000;

/**
 * `window.__tandem`: lets browser tests drive and read the page. Stable interface: members
 * are added, never changed. All of it is also visible on the page.
 */
export interface Probe {
  /** The current recommender; `null` while it is being created. Replaced on a backend switch. */
  readonly recommender: ShopRecommender | null;
  /** The most recent update. */
  readonly lastUpdate: DeliveredUpdate | null;
  /** Events, oldest first; `at` is in milliseconds since navigation start. */
  readonly events: readonly (ShopEvent & { at: number })[];
}

declare global {
  interface Window {
    __tandem?: Probe;
  }
}

/** Installs the probe on a shop. */
export function installProbe(shop: Shop): void {
  const events: (ShopEvent & { at: number })[] = [];
  let lastUpdate: DeliveredUpdate | null = null;
  shop.onEvent = (event) => {
    if (event.name === 'update') lastUpdate = event.payload;
    events.push({ ...event, at: performance.now() });
    if (events.length > MAX_EVENTS) events.shift();
  };
  window.__tandem = {
    get recommender() {
      return shop.recommender;
    },
    get lastUpdate() {
      return lastUpdate;
    },
    events,
  };
}
