import type { Ledger, LedgerEntry } from '@tandem-rec/client';
import { bytes } from '../figures.ts';
import type { ShopRecommender } from '../recommender.ts';
import { joined, nothingSent, type Sent } from '../sent-log.ts';
import type { ShopState } from '../shop.ts';
import { closeButton, dialog } from './dialog.ts';
import { h, setAttribute, setText } from './dom.ts';

const SENT =
  'What is learnt is never sent. Each request for a list sends the history and the films that you ' +
  'disliked.';

/** Actions on the visitor's data. */
export interface PrivacyActions {
  setConsent(granted: boolean): void;
  importData(bytes: Uint8Array): void;
  reset(): void;
  /** Everything that was sent since the page was opened. */
  sent(): Promise<Sent>;
}

/** What was sent, what is stored, and the visitor's own copy of it. */
export function privacy(
  actions: PrivacyActions,
  recommender: () => Pick<ShopRecommender, 'exportPersonalData'> | null,
): { element: HTMLElement; open(): void; render(state: ShopState): void } {
  let consent = false;
  const consentSwitch = h(
    'button',
    {
      type: 'button',
      class: 'switch',
      role: 'switch',
      'data-testid': 'consent',
      onclick: () => actions.setConsent(!consent),
    },
    'Keep my session on this device',
  );
  const consentText = h('p', { class: 'quiet' });
  const file = h('input', {
    type: 'file',
    class: 'sr-only',
    tabindex: '-1',
    'aria-hidden': 'true',
    'data-testid': 'import-file',
    onchange: () => void readFile(),
  });
  const total = h('p', { class: 'quiet', 'data-testid': 'ledger-total' });
  const rows = h('ol', { class: 'ledger', 'data-testid': 'ledger' });
  const comparison = h('p', { class: 'quiet' });
  const body = h('div', { class: 'privacy' });
  const element = dialog('privacy-dialog', 'privacy-title', body);
  body.append(
    closeButton(element),
    h('h2', { id: 'privacy-title' }, 'Your data'),
    consentSwitch,
    consentText,
    h(
      'div',
      { class: 'buttons' },
      button('Export', 'export', () => void exportData()),
      button('Import', 'import', () => file.click()),
      button('Erase', 'erase', () => {
        actions.reset();
        element.close();
      }),
      file,
    ),
    h('h3', {}, 'Everything that was sent'),
    total,
    comparison,
    rows,
  );

  async function readFile(): Promise<void> {
    const chosen = file.files?.[0];
    file.value = '';
    if (chosen === undefined) return;
    actions.importData(new Uint8Array(await chosen.arrayBuffer()));
    element.close();
  }

  async function exportData(): Promise<void> {
    const data = await recommender()?.exportPersonalData();
    if (data === undefined) return;
    const address = URL.createObjectURL(new Blob([Uint8Array.from(data)]));
    h('a', { href: address, download: 'tandem-films.session' }).click();
    URL.revokeObjectURL(address);
  }

  async function list(): Promise<void> {
    const { tandem, comparison: other } = await actions.sent();
    setText(
      total,
      tandem === null
        ? 'Nothing yet: the small model is still being loaded.'
        : `${requestsOf(tandem)} of content.${omitted(tandem)}`,
    );
    const compared = other.entries.length + other.dropped > 0;
    setText(
      comparison,
      compared
        ? `The cloud-only comparison has sent ${requestsOf(other, 'more ')}, each with your ` +
            `history and dislikes. Switch “Compare” off to stop them.${omitted(other)}`
        : '',
    );
    const all = joined(tandem ?? nothingSent, other).entries;
    rows.replaceChildren(...[...all].reverse().map(entryOf));
  }

  return {
    element,
    open: () => {
      if (!element.open) element.showModal();
      void list();
    },
    render(state) {
      consent = state.consent;
      setAttribute(consentSwitch, 'aria-checked', String(consent));
      consentSwitch.disabled = state.phase !== 'ready' || state.switching;
      setText(
        consentText,
        consent
          ? 'History, what the model has learnt, and the model’s files are stored in this browser. ' +
              `The session survives a reload. Switching this off erases all of it. ${SENT}`
          : 'Nothing about you is stored: history and what is learnt end with this page. Switch ' +
              `this on to keep them in this browser. ${SENT}`,
      );
    },
  };
}

/** `1 request with 21 B`. */
export function requestsOf({ entries, dropped, bytes: sent }: Ledger, more = ''): string {
  const count = entries.length + dropped;
  return `${count} ${more}${count === 1 ? 'request' : 'requests'} with ${bytes(sent)}`;
}

function omitted({ dropped }: Ledger): string {
  if (dropped === 0) return '';
  return dropped === 1 ? ' The oldest is not listed.' : ` The oldest ${dropped} are not listed.`;
}

function button(name: string, testId: string, act: () => void): HTMLButtonElement {
  return h('button', { type: 'button', class: 'plain', 'data-testid': testId, onclick: act }, name);
}

function entryOf({ at, method, url, why, body, bytes: sent, status }: LedgerEntry): HTMLElement {
  const { pathname } = new URL(url, document.baseURI);
  const time = new Date(at).toLocaleTimeString('en-GB');
  return h(
    'li',
    {},
    h(
      'p',
      { class: 'ledger-line' },
      h('span', { class: 'quiet' }, time),
      h('span', { class: 'ledger-path' }, `${method} ${pathname}`),
      h('span', {}, why),
      h('span', { class: 'quiet' }, `${bytes(sent)}, ${status ?? 'no answer'}`),
    ),
    body === null ? null : h('pre', { tabindex: '0' }, h('code', {}, body)),
  );
}
