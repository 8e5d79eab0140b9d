import type { DeliveredUpdate, Recommender } from '@tandem-rec/client';
import type { Shop, ShopEvent } from './shop.ts';

/** How many events are kept. */
const KEPT = 1000;

/**
 * `window.__tandem`: for browser tests to drive and read the shop. Stable; add, do not
 * change. Everything in it can also be seen on the page.
 */
export interface Probe {
  /** The recommender in use; `null` while one is being opened. Changes with the device. */
  readonly recommender: Recommender | null;
  /** The update that was delivered last. */
  readonly lastUpdate: DeliveredUpdate | null;
  /** What happened, oldest first, with milliseconds since the page was opened. */
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
    if (events.length > KEPT) events.shift();
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
