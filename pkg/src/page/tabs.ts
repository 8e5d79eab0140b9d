import { CHANNEL_NAME } from '../shared/names.js';

/** Messages between tabs. */
type TabMessage = 'stored' | 'erased';

/** The other tabs of this origin with the same session. */
export class Tabs {
  readonly #channel: BroadcastChannel | null;
  readonly #onReturn: () => void;

  /**
   * `onStored`: another tab stored something, or this tab was hidden and may have missed it;
   * `onErased`: the visitor withdrew the consent in another tab.
   */
  constructor(server: string, onStored: () => void, onErased: () => void) {
    this.#channel =
      typeof BroadcastChannel === 'undefined'
        ? null
        : new BroadcastChannel(`${CHANNEL_NAME} ${server}`);
    if (this.#channel !== null) {
      this.#channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
        if (data === 'erased') onErased();
        else onStored();
      };
    }
    this.#onReturn = () => {
      if (document.visibilityState === 'visible') onStored();
    };
    document.addEventListener('visibilitychange', this.#onReturn);
    // A frozen page has missed messages.
    document.addEventListener('resume', this.#onReturn);
  }

  post(message: TabMessage): void {
    this.#channel?.postMessage(message);
  }

  close(): void {
    this.#channel?.close();
    document.removeEventListener('visibilitychange', this.#onReturn);
    document.removeEventListener('resume', this.#onReturn);
  }
}

/** Random letters and digits, unique to this tab. */
export function randomId(): string {
  const words = crypto.getRandomValues(new Uint32Array(3));
  return [...words].map((word) => word.toString(36)).join('');
}
