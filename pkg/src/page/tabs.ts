import { NAME_PREFIX } from '../shared/names.js';

/** Messages between tabs. */
type TabMessage = 'stored' | 'erased';

/**
 * The other tabs of this origin with the same session. The channel is closed while the page is
 * in the back/forward cache: a message would remove the page from it.
 */
export class Tabs {
  readonly #name: string;
  readonly #onMessage: (message: TabMessage) => void;
  readonly #listeners = new AbortController();
  #channel: BroadcastChannel | null;

  /**
   * `onStored`: another tab stored something, or this page was hidden and may have missed it;
   * `onErased`: the visitor withdrew the consent in another tab.
   */
  constructor(scope: string, onStored: () => void, onErased: () => void) {
    this.#name = `${NAME_PREFIX} ${scope}`;
    this.#onMessage = (message) => (message === 'erased' ? onErased() : onStored());
    this.#channel = this.#open();
    const { signal } = this.#listeners;
    const onReturn = (): void => {
      if (document.visibilityState === 'visible') onStored();
    };
    document.addEventListener('visibilitychange', onReturn, { signal });
    // A frozen page has missed messages.
    document.addEventListener('resume', onReturn, { signal });
    if (typeof window === 'undefined') return;
    window.addEventListener('pagehide', () => this.#leave(), { signal });
    window.addEventListener(
      'pageshow',
      ({ persisted }) => {
        if (!persisted) return;
        this.#channel = this.#open();
        onStored();
      },
      { signal },
    );
  }

  post(message: TabMessage): void {
    this.#channel?.postMessage(message);
  }

  close(): void {
    this.#leave();
    this.#listeners.abort();
  }

  #leave(): void {
    this.#channel?.close();
    this.#channel = null;
  }

  #open(): BroadcastChannel | null {
    if (typeof BroadcastChannel === 'undefined') return null;
    const channel = new BroadcastChannel(this.#name);
    channel.onmessage = ({ data }: MessageEvent<TabMessage>) => this.#onMessage(data);
    return channel;
  }
}

/** A random id of letters and digits. */
export function randomId(): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return [...words].map((word) => word.toString(36)).join('');
}
