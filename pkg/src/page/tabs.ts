import { CHANNEL_NAME } from '../shared/names.js';

/** What tabs tell each other. */
type Word = 'stored' | 'erased';

/** The other tabs of this origin that keep the same visitor's session. */
export class Tabs {
  readonly #channel: BroadcastChannel | null;
  readonly #onReturn: () => void;

  /**
   * `onStored`: another tab stored something, or this one was away and may have missed it;
   * `onErased`: the visitor withdrew the consent in another tab.
   */
  constructor(server: string, onStored: () => void, onErased: () => void) {
    this.#channel =
      typeof BroadcastChannel === 'undefined'
        ? null
        : new BroadcastChannel(`${CHANNEL_NAME} ${server}`);
    if (this.#channel !== null) {
      this.#channel.onmessage = ({ data }: MessageEvent<Word>) => {
        if (data === 'erased') onErased();
        else onStored();
      };
    }
    this.#onReturn = () => {
      if (document.visibilityState === 'visible') onStored();
    };
    document.addEventListener('visibilitychange', this.#onReturn);
    // A page that was frozen missed what was said meanwhile.
    document.addEventListener('resume', this.#onReturn);
  }

  tell(word: Word): void {
    this.#channel?.postMessage(word);
  }

  close(): void {
    this.#channel?.close();
    document.removeEventListener('visibilitychange', this.#onReturn);
    document.removeEventListener('resume', this.#onReturn);
  }
}
