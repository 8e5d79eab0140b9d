const KEY = 'tandem-films-consent';

/** What the visitor chose on an earlier visit. Nothing is stored unless there is consent. */
export interface VisitorChoices {
  readonly consent: boolean;
  setConsent(granted: boolean): void;
}

/** The choices of this browser. */
export const storedChoices: VisitorChoices = {
  get consent(): boolean {
    try {
      return localStorage.getItem(KEY) === 'yes';
    } catch {
      // The browser blocks storage for this page.
      return false;
    }
  },
  setConsent(granted: boolean): void {
    try {
      if (granted) localStorage.setItem(KEY, 'yes');
      else localStorage.removeItem(KEY);
    } catch {
      // The choice then lasts as long as the page.
    }
  },
};
